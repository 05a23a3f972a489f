"""Holds what several test tiers share."""
