"""Tricks whose main slot is `optimizer`."""
