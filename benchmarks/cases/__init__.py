"""The cases, one in each file."""
