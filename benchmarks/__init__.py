"""Measures, on demand, how much speed and memory the trainer's own parts save over plain implementations."""
