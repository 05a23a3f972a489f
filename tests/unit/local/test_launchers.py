"""Tests with real processes that launchers appear as Attempts and are stopped by SIGTERM, then by SIGKILL."""

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
JOB = CreateJob(
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
REPORT = message(Report(attempt=JOB.name, error=ReportError(code=64, where="configuration")))

PROGRAMS = {
    "writes a report": f"import os; open(os.environ['SDBENCH_REPORT'], 'w').write({REPORT!r}); exit(64)",
    "exits with 0": "print('bye')",
    "waits": "import time; print('up', flush=True); time.sleep(600)",
    "is deaf": "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
}


def started(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> ProcessPool:
    """A pool with one launcher that runs this program."""
    monkeypatch.setattr(launchers, "_LAUNCHER", (sys.executable, "-c", PROGRAMS[program]))
    pool = ProcessPool(folder, {"PYTHONPATH": ":".join(sys.path)})
    pool.start(JOB, NOW)
    pool.start(JOB, NOW)
    return pool


def ended(pool: ProcessPool) -> AttemptState:
    """The Attempt once its process has ended."""
    (attempt,) = pool.attempts
    deadline = time.monotonic() + 60
    while attempt.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return attempt_state(attempt)


def wait_until_up(pool: ProcessPool) -> None:
    """Returns once the program has printed that it is up."""
    (attempt,) = pool.attempts
    deadline = time.monotonic() + 60
    while "up" not in attempt.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_an_ended_attempt_has_its_exit_and_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = started(tmp_path, monkeypatch, "writes a report")
    state = ended(pool)
    assert state.job_ended
    assert state.planned_pods == 1
    (pod,) = state.pods
    assert not pod.holds_devices
    assert pod.exit is not None
    assert pod.exit.code == 64
    assert pod.report is not None
    assert pod.report.attempt == JOB.name
    pool.close()


def test_an_exit_without_a_report_has_the_tail_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = started(tmp_path, monkeypatch, "exits with 0")
    (pod,) = ended(pool).pods
    assert pod.report is None
    assert pod.exit is not None
    assert (pod.exit.code, pod.exit.message) == (0, "bye")
    pool.close()


def test_an_ended_attempt_stays_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = started(tmp_path, monkeypatch, "exits with 0")
    ended(pool)
    pool.reap()
    assert len(pool.attempts) == 1
    pool.stop(JOB.name)
    pool.reap()
    assert not pool.attempts


@pytest.mark.parametrize(("program", "code"), [("waits", 143), ("is deaf", 137)])
def test_a_stopped_attempt_gets_sigterm_and_then_sigkill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, code: int
) -> None:
    pool = started(tmp_path, monkeypatch, program)
    wait_until_up(pool)
    (attempt,) = pool.attempts
    assert not attempt_state(attempt).job_ended
    pool.stop(JOB.name)
    assert attempt_state(attempt).deleting
    if program == "waits":
        ended(pool)
    pool.reap(grace_seconds=0.0)
    assert not pool.attempts
    assert attempt.exit_code == code


def test_all_devices_of_a_trial_are_ranks_of_one_launcher(tmp_path: Path) -> None:
    environment = launcher_environment({"OMP_NUM_THREADS": "3"}, JOB, tmp_path / "report", 1234)
    assert (environment["PET_NNODES"], environment["PET_NODE_RANK"], environment["PET_NPROC_PER_NODE"]) == (
        "1",
        "0",
        "2",
    )
    assert environment["OMP_NUM_THREADS"] == "3"
    assert RunConfig.model_validate_json(environment["SDBENCH_RUN"]) == JOB.run
