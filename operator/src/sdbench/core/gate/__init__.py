"""Judges a finished Benchmark: limits, the comparison with a baseline, and one verdict."""
