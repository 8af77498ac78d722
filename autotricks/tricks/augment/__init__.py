"""Tricks whose main slot is `augment`."""
