"""Tricks whose main slot is `parameters`."""
