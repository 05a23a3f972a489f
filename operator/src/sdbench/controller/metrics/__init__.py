"""Serves the operator's /metrics: definitions, the samples of each Benchmark, the collector and the server."""
