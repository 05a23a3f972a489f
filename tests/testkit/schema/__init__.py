"""Walks the CRD's schema: mutations of a spec, and the oracles that check the answers."""
