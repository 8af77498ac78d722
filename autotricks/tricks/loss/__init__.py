"""Tricks whose main slot is `loss`."""
