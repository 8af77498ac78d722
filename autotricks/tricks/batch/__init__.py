"""Tricks whose main slot is `batch`."""
