"""Turns a launcher's process and files into an AttemptState, as if a cluster had reported it."""

from contextlib import suppress
from pathlib import Path

from sdbench.core.snapshot import AttemptState, PodExit, PodState
from sdbench.local.launchers import AttemptProcess
from sdbench_trainer.report import report_in

TAIL_LINES = 15


def attempt_state(attempt: AttemptProcess) -> AttemptState:
    """The launcher as a job with one pod, which was scheduled and started at its creation."""
    code, deleting = attempt.exit_code, attempt.stopped_at is not None
    report = None
    if code is not None:
        # A launcher that leaves no Report is diagnosed by its exit code and its log.
        with suppress(OSError, UnicodeDecodeError):
            report = report_in(attempt.report.read_text(encoding="utf-8"))
    pod = PodState(
        name=attempt.job.name,
        uid=attempt.uid,
        index=0,
        holds_devices=code is None,
        scheduled_at=attempt.created_at,
        started_at=attempt.created_at,
        deleting=deleting,
        exit=None if code is None else PodExit(code, "Completed" if code == 0 else "Error", log_tail(attempt.log)),
        report=report,
    )
    return AttemptState(
        name=attempt.job.name,
        trial=attempt.job.trial,
        attempt=attempt.job.attempt,
        job_uid=attempt.uid,
        created_at=attempt.created_at,
        planned_pods=1,
        job_ended=code is not None,
        deleting=deleting,
        pods=(pod,),
    )


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
