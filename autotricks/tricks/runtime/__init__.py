"""Tricks whose main slot is `gradients`."""
