"""Tracking: what is told to MLflow, and the registry. The only importer of mlflow."""
from .tracker import NullTracker, Tracker

__all__ = ["NullTracker", "Tracker"]
