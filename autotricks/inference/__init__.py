"""A trained bundle predicts."""
