"""Decides whether the operator is alive: passes end while work waits, and the cluster is listed."""

from dataclasses import dataclass

PASS_LIMIT = 120.0
"""Seconds that work may wait while no pass ends."""

TRY_LIMIT = 180.0
"""Seconds that the next attempt to list everything may be late, whatever became of the last one."""

LIST_LIMIT = 900.0
"""Maximum age in seconds of the last successful full list. A restart does not help against an outage of some minutes,
and delays the recovery; it does help a client whose connection settings are outdated, such as a changed certificate."""


@dataclass
class Liveness:
    """Monotonic times of the last signs of life; all begin at the operator's start."""

    last_pass: float
    next_try: float
    """When everything is to be listed next: later than usual if the API server has sent a Retry-After."""
    last_list: float

    def problem(self, now: float, overdue: float) -> str:
        """A sentence about what is wrong; empty while all is well. `overdue`: seconds that work has been waiting."""
        quiet = now - self.last_pass
        if overdue > PASS_LIMIT and quiet > PASS_LIMIT:
            return f"work has been waiting for {overdue:.0f} s, and no pass has ended for {quiet:.0f} s"
        late = now - self.next_try
        if late > TRY_LIMIT:
            return f"no attempt was made to list the Benchmarks, which has been due for {late:.0f} s"
        age = now - self.last_list
        if age > LIST_LIMIT:
            return f"the last successful list of the Benchmarks is {age:.0f} s old"
        return ""
