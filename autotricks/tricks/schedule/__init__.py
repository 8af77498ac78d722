"""Tricks whose main slot is `schedule`."""
