"""What `benchmarks/gpu.py` measures, a file a piece; each has functions that take what was told and yield rows."""
