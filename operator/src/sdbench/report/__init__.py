"""Renders the result of a Benchmark for people and programs: as a table, as JSON, as one page."""
