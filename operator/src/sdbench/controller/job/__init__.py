"""Builds the PyTorchJob of an Attempt: its pods, where they run, and what the administrator fixes in them."""
