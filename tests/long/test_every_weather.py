"""Does one trial come to the same end whatever error any call meets, also twice, and also with a minute of silence?"""

from pathlib import Path

import pytest

from api import faults
from api.grounds import Grounds
from api.weather import CALLS, FAULTS, applies, failing, wrong_after
from long.results import Results

pytest_plugins = ["api.places"]

TABLE = "Errors: each fault on each call, twice"
AT_ONCE = 8
TIMES = 2
SILENCE_SECONDS = 60


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [*FAULTS, "silence"])
async def test_any_error_on_any_call_is_survived(grounds: Grounds, tmp_path: Path, results: Results, name: str) -> None:
    fault = FAULTS.get(name) or faults.silent(SILENCE_SECONDS)
    calls = [call for call in CALLS if applies(name, call)]
    times = TIMES if name in FAULTS else 1
    cases = {call: failing(fault, [call], times) for call in calls}
    wrong, runs = await wrong_after(grounds, tmp_path, cases, AT_ONCE)
    met = [call for call, run in runs.items() if run.faults == times]
    results.add(
        TABLE,
        "fault",
        fault=name,
        calls=len(calls),
        met=len(met),
        wrong="; ".join(wrong) or "none: the same end, no insisting",
    )
    assert wrong == {}
