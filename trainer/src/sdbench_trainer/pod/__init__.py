"""Runs the ranks of a training pod, watches them, and reports how they ended; without torch, so that it starts fast."""
