"""Builds the source distributions and the wheels of the operator and the trainer, without a network."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release.version import ROOT, ReleaseError

FOLDERS = ("trainer", "operator")
"""The folders with a pyproject.toml."""

IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*")

BUILD = """
import sys
from setuptools import build_meta

into = sys.argv[1]  # the backend replaces sys.argv
build_meta.build_sdist(into)
build_meta.build_wheel(into)
"""
"""Runs the build backend of pyproject.toml in our own environment; pip would fetch it from an index."""


def build_distributions(into: Path, seconds: int) -> tuple[Path, ...]:
    """Returns the new files: a source distribution and a wheel for each folder, dated `seconds` since the epoch."""
    before = set(into.iterdir())
    for name in FOLDERS:
        with tempfile.TemporaryDirectory(prefix="sdbench-release-") as scratch:
            # A copy, because setuptools writes beside the sources and would pack what an earlier build left there.
            # copytree follows links: the licence in each folder links to the project's.
            source = shutil.copytree(ROOT / name, Path(scratch) / name, ignore=IGNORED)
            _build(source, into, seconds)
    return tuple(sorted(set(into.iterdir()) - before))


def _build(source: Path, into: Path, seconds: int) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
    command = [sys.executable, "-c", BUILD, str(into.resolve())]
    run = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        raise ReleaseError(f"Building the distributions of {source.name}/ failed:\n{run.stdout}{run.stderr}")
