"""Does a SIGKILL of the operator, at whichever write, change anything of the answer or of what was run?"""

from pathlib import Path

import pytest

from api.grounds import Grounds
from api.scenarios import QUICK, Scenario
from api.sweep import swept

pytest_plugins = ["api.places"]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: str(scenario.name))
async def test_an_operator_killed_at_any_write_changes_nothing(
    grounds: Grounds, scenario: Scenario, tmp_path: Path
) -> None:
    result = await swept(grounds, scenario, tmp_path)
    result.assert_whole()
    print(f"{result.scenario}: {result.kills} kills at {result.writes} writes")
