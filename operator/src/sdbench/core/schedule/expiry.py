"""When does a Benchmark delete itself? spec.ttlSecondsAfterFinished after it has ended and its devices are free.

A question that was refused has ended, too. What is kept to look at, and the results, go with it.
"""

from datetime import datetime, timedelta

from sdbench.api.spec import Spec
from sdbench.api.status import ConditionStatus, ConditionType, Status


def expires_at(status: Status, spec: Spec) -> datetime | None:
    """The moment, once it is known; None while the Benchmark goes on, and without a ttl."""
    true = {one.type: one.last_transition_time for one in status.conditions if one.status is ConditionStatus.TRUE}
    ended = true.get(ConditionType.COMPLETE) or true.get(ConditionType.FAILED)
    clean = true.get(ConditionType.CLEANED_UP)
    if spec.ttl_seconds_after_finished is None or ended is None or clean is None:
        return None
    return max(ended, clean) + timedelta(seconds=spec.ttl_seconds_after_finished)
