"""Tricks whose main slot is `sampler`."""
