"""Decides whether the operator is alive: passes end while work waits, and the cluster is listed."""

from dataclasses import dataclass

PASS_LIMIT = 120.0
"""Seconds that work may wait while no pass ends."""

TRY_LIMIT = 180.0
"""Seconds that the next try to list everything may be late, whatever became of the last one."""

LIST_LIMIT = 900.0
"""Seconds that the last successful full list may be old. An API server that is away for some minutes is no reason to
be restarted, which delays the return; a client that has lost its way (a changed certificate) is."""


@dataclass
class Liveness:
    """Monotonic moments of the last signs of life; at the start they are the start."""

    last_pass: float
    next_try: float
    """When everything is to be listed next: later than usual, if the API server has asked for patience."""
    last_list: float

    def complaint(self, now: float, overdue: float) -> str:
        """A sentence about what is wrong; empty while all is well. `overdue`: how long work has been waiting."""
        quiet = now - self.last_pass
        if overdue > PASS_LIMIT and quiet > PASS_LIMIT:
            return f"work has been waiting for {overdue:.0f} s, and no pass has ended for {quiet:.0f} s"
        late = now - self.next_try
        if late > TRY_LIMIT:
            return f"nobody has tried to list the benchmarks, which has been due for {late:.0f} s"
        age = now - self.last_list
        if age > LIST_LIMIT:
            return f"the last successful list of benchmarks is {age:.0f} s old"
        return ""
