"""Tests that a SIGKILL of the operator at any write changes neither the answer nor what was run."""

import asyncio
from pathlib import Path

import pytest

from testkit.faults.cases import run_case
from testkit.faults.crash_sweep import kills, sweep_crashes
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import QUICK, Scenario

pytest_plugins = ["testkit.server.fixtures"]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: str(scenario.name))
async def test_an_operator_killed_at_any_write_changes_nothing(
    shared_cluster: SharedCluster, scenario: Scenario, tmp_path: Path
) -> None:
    result = await sweep_crashes(shared_cluster, scenario, tmp_path)
    result.assert_whole()
    assert {*result.struck, *result.unreached} >= {*kills(result.writes)}


async def test_a_second_operator_changes_nothing(shared_cluster: SharedCluster, tmp_path: Path) -> None:
    """Kills the operator at a sample of the writes; tests/long kills one and both of two operators at every write."""

    async def wrong_with_two(scenario: Scenario) -> str:
        usual, found = await asyncio.gather(
            *(run_case(shared_cluster, scenario, tmp_path, operators=some) for some in (1, 2))
        )
        return usual.end.difference(found.end)

    wrong = await asyncio.gather(*(wrong_with_two(scenario) for scenario in QUICK))
    assert wrong == [""] * len(QUICK)
