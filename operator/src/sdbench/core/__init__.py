"""Plan, world, decide, statistics, projection: what to do next, as pure functions."""
