"""Holds the plain ways that ours are measured against, as an ordinary user would write them."""
