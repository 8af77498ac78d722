"""What a task brings, measures and decodes."""
