"""Tricks whose main slot is `predict`."""
