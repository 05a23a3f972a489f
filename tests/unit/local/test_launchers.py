"""Tests on real processes that launchers are seen as Attempts, and ended politely and then by force."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdbench.core.snapshot import AttemptState, CreateJob
from sdbench.local import launchers
from sdbench.local.launcher_state import attempt_state
from sdbench.local.launchers import ProcessPool, launcher_environment
from sdbench_trainer.config import Precision, TrainerConfig
from sdbench_trainer.report import Report, ReportError, message
from sdbench_trainer.run import RunConfig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
START = CreateJob(
    "tiny-00000-0-1",
    0,
    1,
    "local",
    RunConfig(
        attempt="tiny-00000-0-1", devices=2, trainer=TrainerConfig(global_batch_size=8, precision=Precision.FP32)
    ),
    2,
    1,
)
REPORT = message(Report(attempt=START.name, error=ReportError(code=64, where="configuration")))

PROGRAMS = {
    "leaves a report": f"import os; open(os.environ['SDBENCH_REPORT'], 'w').write({REPORT!r}); exit(64)",
    "ends well": "print('bye')",
    "waits": "import time; print('up', flush=True); time.sleep(600)",
    "is deaf": "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
}


def begun(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> ProcessPool:
    """A workshop with one launcher that runs this program."""
    monkeypatch.setattr(launchers, "_LAUNCHER", (sys.executable, "-c", PROGRAMS[program]))
    workshop = ProcessPool(folder, {"PYTHONPATH": ":".join(sys.path)})
    workshop.begin(START, NOW)
    workshop.begin(START, NOW)
    return workshop


def ended(workshop: ProcessPool) -> AttemptState:
    """The Attempt once its process has ended."""
    (launcher,) = workshop.launchers
    deadline = time.monotonic() + 60
    while launcher.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return attempt_state(launcher)


def up(workshop: ProcessPool) -> None:
    """Return when the program has said that it is up."""
    (launcher,) = workshop.launchers
    deadline = time.monotonic() + 60
    while "up" not in launcher.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_an_attempt_that_ended_shows_its_exit_and_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = begun(tmp_path, monkeypatch, "leaves a report")
    state = ended(workshop)
    assert state.job_ended
    assert state.planned_pods == 1
    (pod,) = state.pods
    assert not pod.holds_devices
    assert pod.exit is not None
    assert pod.exit.code == 64
    assert pod.report is not None
    assert pod.report.attempt == START.name
    workshop.close()


def test_without_a_report_the_logs_tail_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = begun(tmp_path, monkeypatch, "ends well")
    (pod,) = ended(workshop).pods
    assert pod.report is None
    assert pod.exit is not None
    assert (pod.exit.code, pod.exit.message) == (0, "bye")
    workshop.close()


def test_an_attempt_stays_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = begun(tmp_path, monkeypatch, "ends well")
    ended(workshop)
    workshop.sweep()
    assert len(workshop.launchers) == 1
    workshop.stop(START.name)
    workshop.sweep()
    assert not workshop.launchers


@pytest.mark.parametrize(("program", "code"), [("waits", 143), ("is deaf", 137)])
def test_a_stop_is_polite_and_then_forceful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, code: int
) -> None:
    workshop = begun(tmp_path, monkeypatch, program)
    up(workshop)
    (launcher,) = workshop.launchers
    assert not attempt_state(launcher).job_ended
    workshop.stop(START.name)
    assert attempt_state(launcher).deleting
    if program == "waits":
        ended(workshop)
    workshop.sweep(patience=0.0)
    assert not workshop.launchers
    assert launcher.exit_code == code


def test_all_devices_of_a_trial_are_ranks_of_one_launcher(tmp_path: Path) -> None:
    told = launcher_environment({"OMP_NUM_THREADS": "3"}, START, tmp_path / "report", 1234)
    assert (told["PET_NNODES"], told["PET_NODE_RANK"], told["PET_NPROC_PER_NODE"]) == ("1", "0", "2")
    assert told["OMP_NUM_THREADS"] == "3"
    assert RunConfig.model_validate_json(told["SDBENCH_RUN"]) == START.run
