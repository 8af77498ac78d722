"""Tricks whose main slot is `load`."""
