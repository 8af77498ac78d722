"""Seeds, intervals, verdicts."""
