"""What one sees: each command's output."""
