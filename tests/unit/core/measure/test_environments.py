"""Tests that differences between the environments of a Point's repeats are named."""

from typing import Any

import pytest

from sdbench.api.status import EnvironmentRow, TrialRow
from sdbench.core.measure.environments import mixed

A100: dict[str, Any] = {
    "config_hash": "1",
    "image_id": "sha256:1",
    "device": "A100",
    "device_count": 8,
    "versions": {"torch": "2.7.0"},
    "driver": "550.1",
    "nccl": "2.26",
    "workload": {"attention": "sdpa"},
}


def rows(*environments: int | None) -> tuple[TrialRow, ...]:
    return tuple(
        TrialRow(trial=index, point="devices=8", devices=8, repeat=index, environment=environment)
        for index, environment in enumerate(environments)
    )


CASES: list[tuple[str, dict[str, Any], str | None]] = [
    ("nothing but the hash", {"config_hash": "2"}, None),
    ("the device", {"device": "H100"}, "device (A100 / H100)"),
    ("the device count", {"device_count": 4}, "device count (8 / 4)"),
    ("the driver", {"driver": None}, "driver (550.1 / None)"),
    ("NCCL", {"nccl": "2.27"}, "NCCL (2.26 / 2.27)"),
    ("a version", {"versions": {"torch": "2.7.1"}}, "torch (2.7.0 / 2.7.1)"),
    ("a package that one lacks", {"versions": {}}, "torch (2.7.0 / none)"),
    ("the workload that was really used", {"workload": {"attention": "xformers"}}, "attention (sdpa / xformers)"),
    ("the image", {"image_id": "sha256:2"}, "image"),
    ("several", {"device": "H100", "image_id": "sha256:2"}, "device (A100 / H100), image"),
]


@pytest.mark.parametrize(("changes", "said"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_differs_between_two_repeats_is_named(changes: dict[str, Any], said: str | None) -> None:
    environments = (EnvironmentRow(**A100), EnvironmentRow(**{**A100, **changes}))
    assert mixed(rows(0, 1), environments) == said


def test_repeats_in_one_environment_are_not_mixed_whatever_other_points_ran_in() -> None:
    environments = (EnvironmentRow(**A100), EnvironmentRow(**{**A100, "device": "H100"}))
    assert mixed(rows(1, 1, None), environments) is None


def test_a_long_list_of_differences_is_cut_to_fit_a_status() -> None:
    other = {**A100, "versions": {f"package-{number}": "1" for number in range(100)}}
    said = mixed(rows(0, 1), (EnvironmentRow(**A100), EnvironmentRow(**other)))
    assert said is not None
    assert len(said) == 200
