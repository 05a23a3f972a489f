"""Runs the ranks of a training pod, watches them and reports how they ended, without importing torch."""
