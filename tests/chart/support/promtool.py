"""Runs promtool on rules, on metrics, and on what Prometheus would return after some time."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Labels = Mapping[str, str]
Series = Mapping[str, str]
"""The input of a test: for each series the values at each interval, in the notation of promtool."""


def checked_rules(folder: Path, groups: Sequence[Mapping[str, Any]]) -> str:
    """Runs `promtool check rules` with every lint fatal, which must pass."""
    return _passed(["check", "rules", "--lint=all", "--lint-fatal", str(_rules(folder, groups))])


def warnings_about(exposition: bytes) -> set[str]:
    """The findings of `promtool check metrics` on a text of /metrics, one per line."""
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True)
    assert done.returncode in (0, 3), done.stderr.decode()
    return set(done.stderr.decode().splitlines())


def run_rule_tests(
    folder: Path, groups: Sequence[Mapping[str, Any]], series: Series, tests: Mapping[str, Any], interval: str = "15s"
) -> None:
    """Runs `promtool test rules` with these series, and rules that are evaluated each interval; the tests must pass."""
    given = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": interval, "input_series": given, **tests}
    document = {"rule_files": [str(_rules(folder, groups))], "evaluation_interval": interval, "tests": [case]}
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump(document))
    _passed(["test", "rules", str(file)])


def _rules(folder: Path, groups: Sequence[Mapping[str, Any]]) -> Path:
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": list(groups)}))
    return file


def _passed(arguments: list[str]) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
