"""Builds what is trained: Stable Diffusion, its noise, the moving average and the optimizations."""
