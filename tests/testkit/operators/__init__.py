"""Runs operators under test, and reads what they made."""
