"""A Benchmark's answer for people: as a table, as JSON, as one page."""
