"""Puts faults between an operator and the API server, and compares the outcome with an undisturbed run."""
