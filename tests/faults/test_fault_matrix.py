"""Tests that the operator comes to the same end whatever the API server answers on every call."""

from pathlib import Path

from testkit.faults.fault_matrix import CALLS, FAULTS, AllRefused, applies, case, failures_after
from testkit.faults.multi_namespace import SharedCluster

pytest_plugins = ["testkit.server.fixtures"]

AT_ONCE = 13
LONG = {"400", "503", "504"}
"""Faults that only tests/long injects; here 422 and 500 represent them, which the operator treats alike."""

OUTLAWED = {
    "401 for a while": AllRefused(FAULTS["401"], calls=()),
    "403 for a while": AllRefused(FAULTS["403"], calls=()),
}
MOST_REQUESTS = 30
"""The most refused requests in that time: of a pass that backs off, of the probes, and of starting watches."""


async def test_the_operator_survives_one_failure_of_each_call_and_a_failure_of_all_for_a_while(
    shared_cluster: SharedCluster, tmp_path: Path
) -> None:
    """One case for each fault; tests/long has one for each fault and call."""
    chosen = {name: fault for name, fault in FAULTS.items() if name not in LONG}
    cases = {name: case(name, fault, [call for call in CALLS if applies(name, call)]) for name, fault in chosen.items()}
    wrong, runs = await failures_after(shared_cluster, tmp_path, cases | OUTLAWED, AT_ONCE)
    assert wrong == {}
    for name in OUTLAWED:
        assert 0 < runs[name].faults <= MOST_REQUESTS, name
