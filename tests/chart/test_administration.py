"""Tests that the administrator's bounds and presets reach the operator as they were written."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chart.support.rendering import Helm, of_kind, pod_spec, the
from chart.support.value_sets import VALUE_SETS
from sdbench.api.spec_scheduling import Preset
from sdbench.cli import app
from sdbench.controller import operator
from sdbench.controller.operator import Options
from sdbench.core.snapshot import Bounds

PRESETS = VALUE_SETS["with presets"]
MOUNT = "/etc/sdbench/presets"


def arguments(helm: Helm, values: dict[str, Any]) -> list[str]:
    """The arguments of the operator's container."""
    (container,) = pod_spec(helm.render(values))["containers"]
    given: list[str] = container["args"]
    return given


def options(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Options:
    """The options as the real command parses them."""
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run_operator", ran.append)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return ran[0]


NO_BOUND = [{}, {"bounds": {"maxDevices": 0, "deviceHours": "0.00", "concurrentTrials": 0}}]


@pytest.mark.parametrize("values", NO_BOUND)
def test_without_bounds_there_are_none(helm: Helm, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    understood = options(arguments(helm, values), monkeypatch)
    assert (understood.bounds, understood.presets) == (Bounds(), {})


def test_each_bound_is_understood_as_it_was_written(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    written = VALUE_SETS["bounded"]["bounds"]
    found = options(arguments(helm, {"bounds": written}), monkeypatch).bounds
    assert (found.max_devices, str(found.device_hours), found.concurrent_trials) == tuple(written.values())


def test_the_presets_are_a_file_that_the_operator_reads(
    helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = helm.render(PRESETS)
    files = the(objects, "ConfigMap")
    pod = pod_spec(objects)
    assert {"name": "presets", "configMap": {"name": files["metadata"]["name"]}} in pod["volumes"]
    assert {"name": "presets", "mountPath": MOUNT, "readOnly": True} in pod["containers"][0]["volumeMounts"]
    for name, text in files["data"].items():
        (tmp_path / name).write_text(text)
    here = [given.replace(MOUNT, str(tmp_path)) for given in pod["containers"][0]["args"]]
    expected = {name: Preset.model_validate(preset) for name, preset in PRESETS["presets"].items()}
    assert options(here, monkeypatch).presets == expected


def test_without_presets_no_file_is_made(helm: Helm) -> None:
    assert not of_kind(helm.render(), "ConfigMap")


def test_other_presets_start_another_operator(helm: Helm) -> None:
    def annotations(values: dict[str, Any]) -> Any:
        return the(helm.render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert annotations(PRESETS) == annotations(PRESETS)
    assert annotations(PRESETS) != annotations({"presets": {"plain": {}}}) != annotations({})
