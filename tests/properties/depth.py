"""Sets the number of interleavings and their length."""

import os

from hypothesis import settings

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MANY = int(os.environ.get("SDBENCH_INTERLEAVINGS", "10000" if LONG else "500"))

INTERLEAVINGS = settings(max_examples=MANY, stateful_step_count=40 if LONG else 30)
"""Settings for one Benchmark; the profile has the others."""

CROWDS = settings(max_examples=max(1, MANY // 5), stateful_step_count=40 if LONG else 30)
"""Settings for several Benchmarks side by side."""
