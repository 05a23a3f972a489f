"""Does the operator come to the same end whatever the API server answers, on every call, without insisting?"""

from pathlib import Path

from api.grounds import Grounds
from api.weather import CALLS, FAULTS, applies, failing, wrong_after

pytest_plugins = ["api.places"]


async def test_an_operator_lives_on_when_each_of_its_calls_fails_once(grounds: Grounds, tmp_path: Path) -> None:
    """In one case for each fault; tests/long has one for each fault and call."""
    cases = {name: failing(fault, [call for call in CALLS if applies(name, call)]) for name, fault in FAULTS.items()}
    wrong, runs = await wrong_after(grounds, tmp_path, cases, at_once=len(cases))
    assert wrong == {}
    for name, run in runs.items():
        usual = {str(request) for request in run.seen}
        assert run.faults == len([call for call in CALLS if applies(name, call) and call in usual]), name
