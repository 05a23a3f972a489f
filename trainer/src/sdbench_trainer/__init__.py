"""Trains Stable Diffusion for a benchmark and reports how fast the training was."""

__version__ = "0.1.0"
