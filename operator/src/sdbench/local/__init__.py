"""Runs a Benchmark on this machine: the decisions of the cluster's operator, carried out by processes."""
