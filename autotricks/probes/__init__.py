"""What is found by trying a few steps: batch size, precision, compatibility, transfer, bottleneck."""
