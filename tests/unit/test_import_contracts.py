"""Tests that each import contract fails when an import breaks it: one is added in a copy of the sources."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
OPERATOR, TRAINER = Path("operator/src/sdbench"), Path("trainer/src/sdbench_trainer")

BREACHES = (
    ("The rooms of the operator look down, never up", OPERATOR / "api/names.py", "import sdbench.core.format"),
    (
        "The rooms of core look down, never up or aside",
        OPERATOR / "core/gate/limits.py",
        "import sdbench.core.schedule.actions",
    ),
    ("The rooms of core look down, never up or aside", OPERATOR / "core/plan/grid.py", "import sdbench.core.trial.row"),
    ("The rooms of core look down, never up or aside", OPERATOR / "core/unlisted.py", '"""Belongs to no layer."""'),
    (
        "The rooms of the controller look down, never up or aside",
        OPERATOR / "controller/apiserver/errors.py",
        "import sdbench.controller.cache",
    ),
    (
        "The rooms of the controller look down, never up or aside",
        OPERATOR / "controller/workqueue.py",
        "import sdbench.controller.liveness",
    ),
    (
        "The rooms of the trainer look down, never up or aside",
        TRAINER / "model/noise.py",
        "import sdbench_trainer.data.crop",
    ),
    ("core and api are pure: no clock, no I/O, no framework", OPERATOR / "core/decide.py", "import time"),
    (
        "The operator knows of the trainer only config, run and report",
        OPERATOR / "local/loop.py",
        "import sdbench_trainer.heartbeat",
    ),
    ("config, run and report import pydantic and the standard library only", TRAINER / "run.py", "import torch"),
    ("pod and launch start without torch", TRAINER / "pod/ranks.py", "import torch"),
    (
        "The stopwatch and the host's load know nothing of the framework that they time",
        TRAINER / "measure/host_load.py",
        "import torch",
    ),
)
"""A contract, a file, and the line that breaks it."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources and the contracts, as they are."""
    copy = tmp_path_factory.mktemp("contracts")
    for folder in ("operator/src", "trainer/src"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken(copy: Path) -> set[str]:
    """The contracts that do not hold in the copy."""
    path = os.pathsep.join(str(copy / folder) for folder in ("operator/src", "trainer/src"))
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    return {name for name in CONTRACTS for line in lines if line.startswith(f"{name} BROKEN")}


def test_all_contracts_hold_as_the_sources_are(copy: Path) -> None:
    assert broken(copy) == set()


def test_every_contract_is_broken_once() -> None:
    assert {name for name, _, _ in BREACHES} == set(CONTRACTS)


@pytest.mark.parametrize(("contract", "file", "line"), BREACHES, ids=[f"{file}: {line}" for _, file, line in BREACHES])
def test_an_import_that_breaks_a_contract_is_found(copy: Path, contract: str, file: Path, line: str) -> None:
    before = (copy / file).read_text() if (copy / file).exists() else None
    (copy / file).write_text(f"{before}\n{line}\n" if before else f"{line}\n")
    try:
        assert contract in broken(copy)
    finally:
        if before is None:
            (copy / file).unlink()
        else:
            (copy / file).write_text(before)
