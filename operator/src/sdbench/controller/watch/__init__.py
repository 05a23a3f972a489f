"""Runs kopf, whose watches say which Benchmark to look at."""
