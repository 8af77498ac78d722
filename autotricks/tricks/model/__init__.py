"""Tricks whose main slot is `model`."""
