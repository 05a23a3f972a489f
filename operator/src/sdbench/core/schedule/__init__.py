"""Chooses what starts, stops and is skipped next, and when to look again."""
