"""Mathematics that several tricks share, on tensors."""
