"""Strict YAML, whole files, checksums, did-you-mean."""
