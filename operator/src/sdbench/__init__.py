"""Plans, runs and reports benchmarks of Stable Diffusion training."""

__version__ = "0.1.0"
