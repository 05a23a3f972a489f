"""Skips the repeats of a Point whose Measurements have converged."""

from collections.abc import Iterable
from decimal import Decimal

from sdbench.api.spec import Repeats
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.format import percent
from sdbench.core.measure.statistics import sample
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial.row import skipped

FEWEST = 2
"""The fewest repeats that have a spread."""


def skip_converged(rows: tuple[TrialRow, ...], snapshot: Snapshot) -> tuple[TrialRow, ...]:
    """The rows, with the waiting ones of converged Points skipped."""
    asked = snapshot.benchmark.spec.repeats
    waiting = {row.point for row in rows if row.phase is TrialPhase.PENDING}
    if asked.target_coefficient_of_variation is None or not waiting:
        return rows
    sentences = {point: _converged([row for row in rows if row.point == point], asked) for point in waiting}
    return tuple(
        skipped(row, sentence, snapshot)
        if row.phase is TrialPhase.PENDING and (sentence := sentences[row.point])
        else row
        for row in rows
    )


def _converged(rows: Iterable[TrialRow], asked: Repeats) -> str | None:
    """Why a Point needs no further repeat; None while it needs one."""
    # A disturbed repeat says nothing about the spread of the Point; a failed one is not replaced.
    calm = [row.measurement for row in rows if row.measurement is not None and not row.measurement.disturbed]
    target = asked.target_coefficient_of_variation
    if target is None or len(calm) < max(asked.min, FEWEST):
        return None
    spread = sample([one.median_images_per_second for one in calm]).coefficient_of_variation
    if spread is None or spread > target:
        return None
    return f"{len(calm)} repeats vary by {percent(Decimal(spread), 2)}, and {percent(target, 2)} is enough"
