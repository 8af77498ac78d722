"""Tricks whose main slot is `average`."""
