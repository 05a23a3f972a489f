"""Runs kopf, whose watches say which Benchmark needs a pass."""
