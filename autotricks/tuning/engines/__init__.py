"""Carries a search out; Ray is imported here alone."""
