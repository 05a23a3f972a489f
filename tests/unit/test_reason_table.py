"""Tests that a reason is one entry of one table: an entry that is added to a copy shows everywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path("operator/src/sdbench/api/reasons.py")
NEXT = "    UNKNOWN = Entry("
ENTRY = """\
    TOO_HOT = Entry(
        "TooHot",
        Consequence.ENDS_POINT,
        when="A device throttled because of its temperature",
        remedy="cool the machines",
        exit_code=ExitCode.TOO_HOT,
    )
"""
NEXT_CODE = "    MIXED_DEVICES = 74\n"
DIAGNOSIS = """
from sdbench.core.attempt.root_cause import root_cause, STRONG
from unit.core.worlds import attempt, exited, spec
print(root_cause(attempt(exited(0, 75)), spec(), STRONG).sentence)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the table feeds, with one more exit code of the trainer and one more entry."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("operator/src", "trainer/src", "docs", "charts/sdbench/files", "tests/unit/core"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    codes, table = copy / "trainer/src/sdbench_trainer/report.py", copy / TABLE
    for file, before, added in ((codes, NEXT_CODE, f"{NEXT_CODE}    TOO_HOT = 75\n"), (table, NEXT, ENTRY + NEXT)):
        text = file.read_text()
        assert text.count(before) == 1, f"{file} has changed: this test no longer adds anything to it"
        file.write_text(text.replace(before, added))
    return copy


def output(copy: Path, *arguments: str) -> str:
    """What a Python program prints that imports the copy."""
    path = os.pathsep.join(str(copy / folder) for folder in ("operator/src", "trainer/src", "tests"))
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_new_entry_is_in_the_enum_of_the_crd(copy: Path) -> None:
    crd = yaml.safe_load(output(copy, "-m", "sdbench.api.crd.schema"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert "TooHot" in schema["trials"]["items"]["properties"]["reason"]["enum"]


def test_a_new_entry_is_in_the_docs_with_its_exit_code_and_its_remedy(copy: Path) -> None:
    output(copy, "docs/generate.py")
    page = (copy / "docs/endings.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `TooHot`"))
    assert "(exit code 75)" in row
    assert "cool the machines" in row
    assert "| 75 | `TooHot` | 1: names its cause |" in page


def test_the_message_of_a_failed_pod_has_the_remedy_of_a_new_entry(copy: Path) -> None:
    sentence = output(copy, "-c", DIAGNOSIS)
    assert sentence.startswith("A device throttled because of its temperature; cool the machines: pod ")
