"""Tests that a SIGKILL changes nothing: every scenario, two operators, and a return to a stale view."""

import time
from pathlib import Path

import pytest

from long.results import Results
from testkit.faults.crash_sweep import SweepMode, SweepResult, sweep_crashes
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import ALL, Scenario

pytest_plugins = ["testkit.server.fixtures"]

TABLE = "Crash sweep: the operator is killed before and after each of its writes"
BEHIND = (1, 3)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", SweepMode, ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: str(scenario.name))
async def test_a_kill_at_any_write_changes_nothing(
    shared_cluster: SharedCluster, tmp_path: Path, results: Results, scenario: Scenario, mode: SweepMode
) -> None:
    started = time.monotonic()
    note(results, await sweep_crashes(shared_cluster, scenario, tmp_path, mode), started)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: str(scenario.name))
async def test_a_stale_view_after_a_kill_changes_nothing(
    shared_cluster: SharedCluster, tmp_path: Path, results: Results, scenario: Scenario, behind: int
) -> None:
    started = time.monotonic()
    note(results, await sweep_crashes(shared_cluster, scenario, tmp_path, writes_behind=behind), started)


def note(results: Results, found: SweepResult, started: float) -> None:
    """Adds the row, even of a failed sweep, and then checks the sweep."""
    results.add(
        TABLE,
        *("scenario", "how"),
        scenario=found.scenario,
        how=found.how,
        writes=found.writes,
        kills=found.kills,
        not_reached=len(found.unreached),
        wrong="; ".join(found.failures) or "none: nothing lost, nothing duplicated, same end state",
        seconds=round(time.monotonic() - started),
    )
    found.assert_whole()
