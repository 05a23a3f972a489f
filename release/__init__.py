"""Builds what a release consists of: `python -m release`, which `make release` runs."""
