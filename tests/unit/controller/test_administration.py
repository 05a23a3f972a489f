"""Are an administrator's options read as they are meant, and is a wrong one refused before anything runs?"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sdbench.api.scheduling import Preset
from sdbench.cli import app
from sdbench.controller import operator
from sdbench.controller.administration import OWN_NAMES, OWN_PREFIXES, WrongOption, bounds, presets
from sdbench.controller.operator import Options
from sdbench.controller.pytorchjob import pytorchjob
from sdbench.core.world import Bounds
from sdbench_trainer import topology
from sdbench_trainer.run import RUN_VARIABLE, Source
from sdbench_trainer.topology import Topology
from unit.controller.shapes import benchmark, start


def written(folder: Path, content: Any) -> Path:
    """A file of presets."""
    file = folder / "presets.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


FABRIC = {"environment": {"NCCL_IB_HCA": "mlx5"}, "resources": {"rdma/hca": "1"}, "annotations": {"a.b/c": "d"}}


def test_presets_are_read_by_name(tmp_path: Path) -> None:
    expected = {"rdma": Preset.model_validate(FABRIC), "plain": Preset()}
    assert presets(written(tmp_path, {"rdma": FABRIC, "plain": {}})) == expected


@pytest.mark.parametrize("text", ["", "{}"])
def test_a_file_may_define_none(tmp_path: Path, text: str) -> None:
    assert presets(written(tmp_path, text)) == presets(None) == {}


WRONG = [
    ({"Fast": {}}, "Fast"),
    ({"rdma": {"enviroment": {}}}, "rdma.enviroment: Extra inputs are not permitted"),
    ({"rdma": {"environment": {"NCCL_IB_GID_INDEX": 3}}}, "rdma.environment.NCCL_IB_GID_INDEX: Input should be a"),
    ({"rdma": {"environment": {"NCCL IB": "x"}}}, "rdma.environment.NCCL IB"),
    ({"rdma": {"environment": {"A": "x" * 513}}}, "rdma.environment.A"),
    ({"rdma": {"environment": {"RANK": "0"}}}, "rdma.environment.RANK: it is not a preset's to set"),
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
        presets(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert said in str(refused.value)


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongOption, match="the presets cannot be read"):
        presets(tmp_path / "absent")


def test_no_preset_can_set_what_we_set(tmp_path: Path) -> None:
    one = benchmark()
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in (*topology.CREDENTIAL_VALUES, *topology.CREDENTIAL_PATHS):
        (credentials / name).write_text("x")
    ours = {
        RUN_VARIABLE,
        *topology.credential_variables(credentials),
        *topology.source_variables(Source(endpoint="http://x", region="eu")),
        *topology.rank_variables(Topology(2, 0, 1, "x", 1), 0, tmp_path, tmp_path),
        *(one["name"] for one in _container(pytorchjob(one, start(one)))["env"]),
    }
    assert not [name for name in ours if name not in OWN_NAMES and not name.startswith(OWN_PREFIXES)]


def _container(job: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    return container


def test_bounds_are_what_was_given_and_otherwise_none() -> None:
    assert bounds(None, None, None) == Bounds()
    assert bounds(8, "0.5", 2) == Bounds(8, Decimal("0.5"), 2)


@pytest.mark.parametrize("hours", ["many", "0", "-1", "NaN", "Infinity", ""])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(WrongOption, match="--max-device-hours"):
        bounds(None, hours, None)


def test_the_command_hands_them_to_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run", ran.append)
    file = written(tmp_path, {"rdma": FABRIC})
    options = ("--max-devices", "64", "--max-device-hours", "500", "--max-concurrent-trials", "2", "--presets", file)
    done = CliRunner().invoke(app, ["operator", "--default-image", "x", *map(str, options)])
    assert done.exit_code == 0, done.output
    (given,) = ran
    assert given.bounds == Bounds(64, Decimal(500), 2)
    assert given.presets == {"rdma": Preset.model_validate(FABRIC)}


def test_the_command_refuses_a_wrong_preset_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(operator, "run", ran.append)
    file = written(tmp_path, {"rdma": {"environment": {"RANK": "0"}}})
    done = CliRunner().invoke(app, ["operator", "--default-image", "x", "--presets", str(file)])
    assert (done.exit_code, ran) == (2, [])
    assert done.output == f"{file}: rdma.environment.RANK: it is not a preset's to set\n"
