"""Builds a release: `make release` runs `python -m release`."""
