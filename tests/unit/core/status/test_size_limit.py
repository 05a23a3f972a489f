"""Tests what is cut from a status that is too large, and what is kept."""

from dataclasses import dataclass

import pytest

from sdbench.api.status import EnvironmentRow, Status, TrialPhase, TrialRow
from sdbench.core.status.size_limit import LIMIT_BYTES, SHORT, SURELY_FITTING, within_size_limit, written_bytes

ROWS = 512


def status(message: int = 0, environment: int = 0, rows: int = ROWS) -> Status:
    """A Status of failed rows and environments, with texts of these lengths."""
    ran_on = EnvironmentRow(config_hash="1", image_id="i" * environment, device="d", device_count=1, versions={})
    row = TrialRow(trial=0, point="p", devices=1, repeat=0, phase=TrialPhase.FAILED, message="写" * message)
    known = row.model_copy(update={"environment": 0})
    return Status(trials=(known,) * rows, environments=(ran_on,) * rows if environment else (ran_on,))


@dataclass(frozen=True)
class Left:
    """What is left of a status: characters of a message, and environments."""

    message: int
    environments: int


CASES = [
    pytest.param(status(message=300), Left(300, 1), id="nothing is cut if all fits"),
    pytest.param(status(message=512, environment=1_000), Left(SHORT, ROWS), id="messages are cut first"),
    pytest.param(status(message=512, environment=3_000), Left(SHORT, 0), id="then environments are left out"),
    pytest.param(
        status(message=512, environment=3_000, rows=SURELY_FITTING), Left(512, SURELY_FITTING), id="few rows always fit"
    ),
]


@pytest.mark.parametrize(("large", "left"), CASES)
def test_explanations_are_cut_in_order(large: Status, left: Left) -> None:
    found = within_size_limit(large)
    assert Left(len(found.trials[0].message), len(found.environments)) == left
    assert (found.trials[0].environment is None) == (left.environments == 0)
    assert written_bytes(found) <= LIMIT_BYTES
    assert within_size_limit(found) == found


def test_characters_that_the_api_server_escapes_are_counted_as_they_are_stored() -> None:
    plain, marked = status(rows=1), status(rows=1)
    (row,) = marked.trials
    marked = marked.model_copy(update={"trials": (row.model_copy(update={"message": "<&>"}),)})
    assert written_bytes(marked) - written_bytes(plain) == 3 * 6
