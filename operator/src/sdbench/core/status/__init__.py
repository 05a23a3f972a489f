"""Builds what the status shows: conditions, Events, the summary line, and what fits into one object."""
