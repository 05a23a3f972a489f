"""Turns a launcher's process and files into an AttemptState, as from a cluster."""

from pathlib import Path

from sdbench.core.snapshot import AttemptState, PodExit, PodState
from sdbench.local.launchers import AttemptProcess
from sdbench_trainer.report import Report, report_in

TAIL_LINES = 15


def attempt_state(launcher: AttemptProcess) -> AttemptState:
    """The launcher as a job with one pod that was scheduled and started when it was created."""
    return AttemptState(
        name=launcher.start.name,
        trial=launcher.start.trial,
        attempt=launcher.start.attempt,
        job_uid=launcher.uid,
        created_at=launcher.created_at,
        planned_pods=1,
        job_ended=not launcher.alive,
        deleting=launcher.stop_asked is not None,
        pods=(_pod(launcher),),
    )


def _pod(launcher: AttemptProcess) -> PodState:
    code = launcher.exit_code
    return PodState(
        name=launcher.start.name,
        uid=launcher.uid,
        index=0,
        holds_devices=code is None,
        scheduled_at=launcher.created_at,
        started_at=launcher.created_at,
        deleting=launcher.stop_asked is not None,
        exit=None if code is None else PodExit(code, "Completed" if code == 0 else "Error", log_tail(launcher.log)),
        report=None if code is None else _report(launcher.report),
    )


def _report(path: Path) -> Report | None:
    try:
        return report_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
