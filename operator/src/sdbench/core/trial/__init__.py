"""Moves a Trial's row from state to state: retries, back-off, retention, teardown and the outcome."""
