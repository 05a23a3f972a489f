"""Computes how long a Trial waits after it gave its devices back: longer each time, with jitter.

The delay counts from the moment the devices are free. A waiting Trial keeps its place, and its whole wait is bounded by
limits.queuedSeconds, counted from the first of the Attempts that did not get all of their nodes.
"""

import zlib
from datetime import datetime, timedelta

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.diagnose import Diagnosis, diagnosis
from sdbench.core.format import moment
from sdbench.core.snapshot import Snapshot

FIRST_SECONDS = 15
LONGEST_SECONDS = 600
"""The longest delay, before the jitter of half to one and a half."""


def not_before(row: TrialRow, snapshot: Snapshot) -> datetime:
    """When the row's next Attempt may be started, if its devices are free now."""
    return moment(snapshot.now) + delay(snapshot.benchmark.metadata.uid, row)


def delay(uid: str, row: TrialRow) -> timedelta:
    """The delay in whole seconds, as times are stored."""
    uncounted = max(0, row.attempt - row.failures - 1)
    usual = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(uncounted, 16))
    # Two gangs that each hold half of what they need both give it back; if both came back at once, they would collide
    # again. The jitter is derived from the names, so that a restarted operator computes the same.
    drawn = zlib.crc32(f"{uid}/{row.trial}/{row.attempt}".encode()) / 2**32
    return timedelta(seconds=round(usual * (0.5 + drawn)))


def is_backing_off(row: TrialRow, snapshot: Snapshot) -> bool:
    """Whether the row waits for its back-off to end."""
    return row.not_before is not None and snapshot.now < row.not_before


def queue_deadline(row: TrialRow, snapshot: Snapshot) -> datetime | None:
    """When a Trial that has backed off is given up; None if it has not backed off.

    The first Attempt's own timeout counts from its job's creation.
    """
    if row.waiting_since is None or row.scheduled_at is not None:
        return None
    again = row.queued_at is not None and row.waiting_since < row.queued_at
    if row.not_before is None and not (again and row.phase is TrialPhase.STARTING):
        return None
    return row.waiting_since + timedelta(seconds=snapshot.benchmark.spec.limits.queued_seconds)


def queue_timeout(row: TrialRow, snapshot: Snapshot) -> Diagnosis | None:
    """The end of a Trial whose time in the queue is over."""
    due = queue_deadline(row, snapshot)
    if due is None or snapshot.now < due:
        return None
    seconds = snapshot.benchmark.spec.limits.queued_seconds
    sentence = (
        f"There were never nodes for all of its pods at once within limits.queuedSeconds, {seconds} s; add nodes, ask "
        "for fewer devices, or let a queue admit whole jobs (spec.scheduling)"
    )
    return diagnosis(Reason.UNSCHEDULABLE, sentence)
