"""Measures the training: the window, the metrics, FLOP, and on what it ran."""
