"""Trains a Stable Diffusion for a benchmark and reports how fast it went."""

__version__ = "0.1.0"
