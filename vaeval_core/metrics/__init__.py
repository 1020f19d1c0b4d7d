"""Accumulators to numbers: NumPy and SciPy only, no network, no file. `catalogue` lists every metric."""
