"""Tests that the operator reaches the same end whatever a call meets: an error, two, or a minute of silence."""

from pathlib import Path

import pytest

from long.results import Results
from testkit.faults import fault_kinds
from testkit.faults.fault_matrix import CALLS, FAULTS, applies, case, failures_after
from testkit.faults.multi_namespace import SharedCluster

pytest_plugins = ["testkit.server.fixtures"]

TABLE = "Errors: each fault on each call, twice"
AT_ONCE = 8
TIMES = 2
SILENCE_SECONDS = 60


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [*FAULTS, "silence"])
async def test_any_error_on_any_call_is_survived(
    shared_cluster: SharedCluster, tmp_path: Path, results: Results, name: str
) -> None:
    """Each call fails twice, except if the fault lets the API server do it: such a call is not repeated."""
    fault = FAULTS.get(name) or fault_kinds.silent(SILENCE_SECONDS)
    calls = [call for call in CALLS if applies(name, call)]
    times = TIMES if name in FAULTS else 1
    cases = {str(call): case(name, fault, [call], times) for call in calls}
    wrong, _ = await failures_after(shared_cluster, tmp_path, cases, AT_ONCE)
    met = [of for of in cases.values() if all(armed.hits for armed in of.armed.values())]
    results.add(
        TABLE,
        "fault",
        fault=name,
        calls=len(calls),
        met=len(met),
        wrong="; ".join(wrong) or "none: same end state, no excess requests",
    )
    assert wrong == {}
    assert len(met) == len(calls)
