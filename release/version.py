"""Determines a release's version, commit and notes."""

import re
import subprocess
from pathlib import Path

import yaml

import sdbench
import sdbench_trainer

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "sdbench"
UNRELEASED = "Unreleased"


class ReleaseError(RuntimeError):
    """A message for a person: why a part of the release cannot be built, and what to do."""


def released_version() -> str:
    """The one version of both distributions and the chart. Raises ReleaseError if they differ."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    stated = {
        "operator/src/sdbench/__init__.py": sdbench.__version__,
        "trainer/src/sdbench_trainer/__init__.py": sdbench_trainer.__version__,
        "version in charts/sdbench/Chart.yaml": str(chart["version"]),
        "appVersion in charts/sdbench/Chart.yaml": str(chart["appVersion"]),
    }
    if len(set(stated.values())) > 1:
        found = ", ".join(f"{version} ({place})" for place, version in stated.items())
        raise ReleaseError(f"The versions differ: {found}. Set all of them to the version to release.")
    return sdbench.__version__


def notes(changelog: str, version: str) -> tuple[str, str]:
    """The heading and the text of the changelog's section for this version, or else of the unreleased section.

    Raises ReleaseError if there is neither.
    """
    sections = {
        heading: text.strip()
        for heading, text in re.findall(
            r"^## \[?([^\]\s]+)[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
        )
    }
    for heading in (version, UNRELEASED):
        if sections.get(heading):
            return heading, f"{sections[heading]}\n"
    raise ReleaseError(f"CHANGELOG.md has no text under {version}: describe there what users notice.")


def commit() -> str:
    """The commit that is released."""
    return _git("rev-parse", "HEAD")


def commit_seconds() -> int:
    """The time of the commit in seconds since the epoch, which dates everything that is built from it."""
    return int(_git("log", "-1", "--format=%ct"))


def uncommitted() -> tuple[str, ...]:
    """The files that differ from the commit."""
    return tuple(line[3:] for line in _git("status", "--porcelain").splitlines())


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if run.returncode != 0:
        raise ReleaseError(f"A release needs a git checkout, but git {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout.rstrip()
