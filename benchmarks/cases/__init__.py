"""Holds the cases, one per file."""
