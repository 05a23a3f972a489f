"""Tests that make help lists every command, and that the commit hooks run what make lint runs."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tiers import TIERS, commands

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
LINT = [[Path(command[0]).name, *command[1:]] for tier in TIERS if tier.name == "lint" for command in commands(tier)]
NOT_FOR_PEOPLE = {"environment"}


def test_help_lists_every_command_once_under_who_needs_it() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)
    phony = next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:"))
    assert sorted(listed) == sorted(set(phony.split()[1:]) - NOT_FOR_PEOPLE)
    assert re.findall(r"^[A-Z].* it.*$", shown, re.MULTILINE) == [
        "Try it",
        "Use it on a cluster",
        "Change it",
        "Release it",
    ]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_commit_hook_is_a_command_of_lint_and_needs_no_network(hook: dict[str, str]) -> None:
    assert hook["language"] == "system"
    words = shlex.split(hook["entry"])
    if words[0].startswith(".venv/bin/"):
        program, *options = [Path(words[0]).name, *(word for word in words[1:] if word != "--force-exclude")]
        assert any(
            [program, *options] == command[: len(words)] or [program, *options, "."] == command for command in LINT
        ), words
    else:
        assert any("codespell" in command for command in LINT)
        assert words[0] == "sh"
