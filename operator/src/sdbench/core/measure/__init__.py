"""Computes what the measured Trials say: statistics, Points, scaling fits and projections."""
