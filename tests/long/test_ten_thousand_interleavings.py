"""Tests that each Trial counts once in ten thousand interleavings, longer than tests/properties."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from long.results import Results

ROOT = Path(__file__).resolve().parents[2]
TABLE = "Interleavings of users, failures and operators"
MANY = 10_000
COUNTED = re.compile(r"(\d+) passing, (\d+) failing, and \d+ invalid test cases")
FALSIFIED = "Falsifying example"


@pytest.mark.timeout(5400)
def test_each_trial_counts_once_in_ten_thousand_interleavings(results: Results) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "tests/properties", "--hypothesis-show-statistics", "--timeout=5000"]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "long", "SDBENCH_INTERLEAVINGS": str(MANY)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    counts = [(int(well), int(badly)) for well, badly in COUNTED.findall(run.stdout)]
    results.add(
        TABLE,
        examples_of_the_largest_property=max((well + badly for well, badly in counts), default=0),
        examples_of_all_properties=sum(well + badly for well, badly in counts),
        failing=sum(badly for _, badly in counts),
        seconds=round(time.monotonic() - started),
    )
    assert run.returncode == 0, _falsified(run.stdout)
    assert max(well for well, _ in counts) >= MANY


def _falsified(message: str) -> str:
    """The shortest example that breaks a property; without one, the end of the output."""
    found = message.find(FALSIFIED)
    return message[found : found + 10_000] if found >= 0 else message[-5000:]
