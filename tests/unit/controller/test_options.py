"""Tests that an administrator's options are read, and that wrong ones are refused before anything runs."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sdbench.api.spec_scheduling import Preset
from sdbench.api.workload import Workload
from sdbench.cli import app
from sdbench.controller import operator
from sdbench.controller.job.pytorchjob import pytorchjob
from sdbench.controller.operator import Options
from sdbench.controller.options import (
    RESERVED_NAMES,
    RESERVED_PREFIXES,
    WrongOption,
    parsed_bounds,
    read_presets,
    read_workload,
)
from sdbench.core.snapshot import Bounds
from sdbench_trainer.pod import topology
from sdbench_trainer.pod.topology import Topology
from sdbench_trainer.run import RUN_VARIABLE, DataSource
from unit.controller.shapes import benchmark, fixed, start


def written(folder: Path, content: Any) -> Path:
    """Writes a file with presets or a Workload, and returns its path."""
    file = folder / "presets.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


FABRIC = {"environment": {"NCCL_IB_HCA": "mlx5"}, "resources": {"rdma/hca": "1"}, "annotations": {"a.b/c": "d"}}


def test_presets_are_read_by_name(tmp_path: Path) -> None:
    expected = {"rdma": Preset.model_validate(FABRIC), "plain": Preset()}
    assert read_presets(written(tmp_path, {"rdma": FABRIC, "plain": {}})) == expected


@pytest.mark.parametrize("text", ["", "{}"])
def test_a_file_may_define_no_presets(tmp_path: Path, text: str) -> None:
    assert read_presets(written(tmp_path, text)) == read_presets(None) == {}


WRONG = [
    ({"Fast": {}}, "Fast"),
    ({"rdma": {"enviroment": {}}}, "rdma.enviroment: Extra inputs are not permitted"),
    ({"rdma": {"environment": {"NCCL_IB_GID_INDEX": 3}}}, "rdma.environment.NCCL_IB_GID_INDEX: Input should be a"),
    ({"rdma": {"environment": {"NCCL IB": "x"}}}, "rdma.environment.NCCL IB"),
    ({"rdma": {"environment": {"A": "x" * 513}}}, "rdma.environment.A"),
    ({"rdma": {"environment": {"RANK": "0"}}}, "rdma.environment.RANK: a preset may not set it"),
    ({"rdma": {"environment": {"SDBENCH_RUN": "{}"}}}, "rdma.environment.SDBENCH_RUN"),
    ({"rdma": {"environment": {"AWS_SECRET_ACCESS_KEY": "x"}}}, "rdma.environment.AWS_SECRET_ACCESS_KEY"),
    ({"rdma": {"resources": {"cpu": "1"}}}, "rdma.resources.cpu"),
    ({"rdma": {"resources": {"rdma/hca": "0"}}}, "rdma.resources.rdma/hca"),
    ({"rdma": {"resources": {"rdma/hca": "500m"}}}, "rdma.resources.rdma/hca"),
    ({"rdma": {"annotations": {"a b": "c"}}}, "rdma.annotations.a b"),
    (["rdma"], "presets: Input should be a valid dictionary"),
    ("rdma: [", "the presets cannot be read"),
]


@pytest.mark.parametrize(("content", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_preset_is_refused_with_its_path(tmp_path: Path, content: Any, said: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(WrongOption) as refused:
        read_presets(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert said in str(refused.value)


def test_an_absent_file_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(WrongOption, match="the presets cannot be read"):
        read_presets(tmp_path / "absent")


def test_no_preset_can_set_a_reserved_variable(tmp_path: Path) -> None:
    one = fixed(benchmark(), Workload.model_validate(FIXED))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in (*topology.CREDENTIAL_VALUES, *topology.CREDENTIAL_PATHS):
        (credentials / name).write_text("x")
    ours = {
        RUN_VARIABLE,
        *topology.credential_variables(credentials),
        *topology.source_variables(DataSource(endpoint="http://x", region="eu")),
        *topology.rank_variables(Topology(2, 0, 1, "x", 1), 0, tmp_path, tmp_path),
        *(one["name"] for one in _container(pytorchjob(one, start(one)))["env"]),
    }
    assert not [name for name in ours if name not in RESERVED_NAMES and not name.startswith(RESERVED_PREFIXES)]


def _container(job: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    return container


FIXED = {
    "serviceAccountName": "trainer",
    "imagePullSecrets": ["registry"],
    "proxy": {"http": "http://proxy:3128", "https": "http://proxy:3128", "noProxy": ".example.org"},
    "caBundle": {"configMap": "site-ca", "key": "bundle.pem"},
}


def test_a_workload_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read_workload(written(tmp_path, FIXED))
    assert found == Workload.model_validate(FIXED)
    assert found.document() == FIXED


@pytest.mark.parametrize("content", ["", {}, {"imagePullSecrets": []}])
def test_a_workload_may_fix_nothing(tmp_path: Path, content: Any) -> None:
    assert read_workload(written(tmp_path, content)) is read_workload(None) is None


WRONG_WORKLOADS = [
    ({"serviceAccount": "trainer"}, "serviceAccount: Extra inputs are not permitted"),
    ({"serviceAccountName": "Trainer"}, "serviceAccountName: String should match pattern"),
    ({"imagePullSecrets": [{"name": "registry"}]}, "imagePullSecrets.0: Input should be a valid string"),
    ({"proxy": {"http": "proxy:3128"}}, "proxy.http: String should match pattern"),
    ({"proxy": {"https": "http://me:secret@proxy:3128"}}, "proxy.https: String should match pattern"),
    ({"proxy": {"http": "http://$(SECRET):3128"}}, "proxy.http: String should match pattern"),
    ({"proxy": {"noProxy": "a\nb"}}, "proxy.noProxy: String should match pattern"),
    ({"caBundle": {"key": "ca.crt"}}, "caBundle.configMap: Field required"),
    ({"caBundle": {"configMap": "site-ca", "key": "../ca.crt"}}, "caBundle.key: String should match pattern"),
    (["trainer"], "workload: Input should be a valid dictionary"),
    ("proxy: [", "the workload cannot be read"),
]


@pytest.mark.parametrize(("content", "said"), WRONG_WORKLOADS, ids=[said for _, said in WRONG_WORKLOADS])
def test_a_wrong_workload_is_refused_with_its_path(tmp_path: Path, content: Any, said: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(WrongOption) as refused:
        read_workload(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert said in str(refused.value)
    assert "secret@" not in str(refused.value)


def test_bounds_that_are_not_given_are_none() -> None:
    assert parsed_bounds(None, None, None) == Bounds()
    assert parsed_bounds(8, "0.5", 2) == Bounds(8, Decimal("0.5"), 2)


@pytest.mark.parametrize("hours", ["many", "0", "-1", "NaN", "Infinity", ""])
def test_invalid_device_hours_are_refused(hours: str) -> None:
    with pytest.raises(WrongOption, match="--max-device-hours"):
        parsed_bounds(None, hours, None)


def test_the_command_passes_the_files_to_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run_operator", ran.append)
    file, other = written(tmp_path, {"rdma": FABRIC}), tmp_path / "workload.json"
    other.write_text(json.dumps(FIXED))
    options = ("--max-devices", "64", "--max-device-hours", "500", "--max-concurrent-trials", "2", "--presets", file)
    command = ["operator", "--default-image", "x", *map(str, options), "--workload", str(other)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (given,) = ran
    assert given.bounds == Bounds(64, Decimal(500), 2)
    assert given.presets == {"rdma": Preset.model_validate(FABRIC)}
    assert given.workload == Workload.model_validate(FIXED)


def test_the_command_refuses_a_wrong_preset_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run_operator", ran.append)
    file = written(tmp_path, {"rdma": {"environment": {"RANK": "0"}}})
    done = CliRunner().invoke(app, ["operator", "--default-image", "x", "--presets", str(file)])
    assert (done.exit_code, ran) == (2, [])
    assert done.output == f"{file}: rdma.environment.RANK: a preset may not set it\n"


def test_the_command_refuses_a_wrong_workload_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run_operator", ran.append)
    file = written(tmp_path, {"proxies": {}})
    done = CliRunner().invoke(app, ["operator", "--default-image", "x", "--workload", str(file)])
    assert (done.exit_code, ran) == (2, [])
    assert done.output == f"{file}: proxies: Extra inputs are not permitted\n"
