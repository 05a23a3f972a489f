"""Tests when the operator counts as alive."""

import pytest

from sdbench.controller.apiserver import errors
from sdbench.controller.liveness import LIST_LIMIT, PASS_LIMIT, TRY_LIMIT, Liveness


@pytest.mark.parametrize(
    ("quiet", "silence", "age", "overdue", "word"),
    [
        (0, 0, 0, 0, ""),
        (PASS_LIMIT * 9, 0, 0, 0, ""),
        (PASS_LIMIT + 1, 0, 0, PASS_LIMIT + 1, "pass"),
        (0, 0, 0, PASS_LIMIT + 1, ""),
        (0, TRY_LIMIT + 1, 0, 0, "no attempt"),
        (0, -errors.LONGEST_RETRY_AFTER, 0, 0, ""),
        (0, 0, 360, 0, ""),
        (0, 0, LIST_LIMIT + 1, 0, "last successful list"),
    ],
)
def test_health_fails_when_work_waits_or_lists_stop_but_not_for_an_outage_of_minutes(
    quiet: float, silence: float, age: float, overdue: float, word: str
) -> None:
    now = 10_000.0
    said = Liveness(last_pass=now - quiet, next_try=now - silence, last_list=now - age).problem(now, overdue)
    assert word in said
    assert bool(said) == bool(word)
