"""Measures what the trainer's own parts gain over the plain ways, in speed and memory; never a test."""
