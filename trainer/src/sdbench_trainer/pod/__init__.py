"""Runs as PID 1 of a training pod: ranks, the watchdog and the exit report. Imports no torch, and so starts quickly."""
