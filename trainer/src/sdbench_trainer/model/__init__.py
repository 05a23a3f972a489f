"""Builds the model: Stable Diffusion, its noise, the moving average of its weights, and the optimizations."""
