"""Tests an operator whose watches are silent for five minutes: it notices changes, and hears again after."""

import asyncio
import time
from pathlib import Path

import pytest

from long.results import Results
from sdbench.controller.operator import RESYNC_SECONDS
from testkit.faults import fault_kinds
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import ONE, runs_on
from testkit.operators.proxy import where
from testkit.operators.stepped_operator import stepped_operator

pytest_plugins = ["testkit.server.fixtures"]

TABLE = "Watches silent for 5 minutes"
SILENCE_SECONDS = 300
AFTER_RESYNC = RESYNC_SECONDS + 60
EVERYTHING = where("watch")


@pytest.mark.parametrize("cut", [False, True], ids=["open", "cut"])
async def test_watches_that_are_silent_for_five_minutes_hide_nothing(
    shared_cluster: SharedCluster, tmp_path: Path, results: Results, cut: bool
) -> None:
    """With `cut`, every connection is closed at the start, and the new ones are silent, too."""
    async with stepped_operator(shared_cluster, tmp_path, runs_on) as case:
        await case.running()
        silence = case.proxy.arm_watches(EVERYTHING, fault_kinds.frozen)
        since = time.time()
        if cut:
            await case.proxy.end_watches(EVERYTHING)
        await case.sandbox.change(cancel=True)
        await case.sandbox.until_holds("CleanedUp", seconds=AFTER_RESYNC)
        seen_after = time.time() - since
        await case.sandbox.until_empty()
        await case.sandbox.create("next", devices=ONE, cancel=True)
        await case.sandbox.until_holds("CleanedUp", "next", seconds=AFTER_RESYNC)
        await asyncio.sleep(SILENCE_SECONDS - (time.time() - since))
        stalled_for = time.time() - await case.last_event()
        silence.disarm()
        await case.sandbox.create("last", devices=ONE, cancel=True)
        await case.sandbox.until_holds("CleanedUp", "last", seconds=AFTER_RESYNC)
        heard = time.time() - await case.last_event()
        results.add(
            TABLE,
            "connection",
            connection="closed" if cut else "open",
            cancelled_after_seconds=round(seen_after),
            seconds_since_the_last_event_in_the_metric=round(stalled_for),
            recovered=heard < AFTER_RESYNC,
        )
        assert stalled_for >= SILENCE_SECONDS - 5
        assert heard < AFTER_RESYNC
