"""Looking into a model and rebuilding it."""
