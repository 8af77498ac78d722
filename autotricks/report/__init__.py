"""The report of a run: one HTML file, made from the run's folder alone, that needs no network."""
from .page import REPORT, page, write

__all__ = ["REPORT", "page", "write"]
