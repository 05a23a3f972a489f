"""Sets how long Hypothesis searches: briefly by default, long with HYPOTHESIS_PROFILE=long."""

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile(
    "default", max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=SLOW, derandomize=True
)
settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
