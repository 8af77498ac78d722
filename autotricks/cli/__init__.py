"""What one types, and what one sees."""
from .app import main

__all__ = ["main"]
