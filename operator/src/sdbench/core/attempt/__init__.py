"""Diagnoses why one Attempt ended: facts, blockers, root causes and their reasons."""
