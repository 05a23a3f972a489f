"""Tells which Attempts hold devices: nothing is started beside one that is no longer wanted."""

from datetime import datetime, timedelta

from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.facts import is_ours
from sdbench.core.snapshot import AttemptState, PodState, Snapshot
from sdbench.core.trial.retention import is_idle
from sdbench.core.trial.row import LIVE, may_hold_devices


def attempt_holds_devices(state: AttemptState, snapshot: Snapshot) -> bool:
    """Whether the Attempt may hold devices. A job that is kept for inspection does not."""
    return not state.foreign and state.holds_devices and not is_idle(state, snapshot)


def row_holds_devices(row: TrialRow, snapshot: Snapshot) -> bool:
    """Whether the row's last Attempt may hold devices."""
    return any(state.name == row.job and attempt_holds_devices(state, snapshot) for state in snapshot.attempts)


def teardown_pending(rows: tuple[TrialRow, ...], snapshot: Snapshot) -> bool:
    """Whether anything but a live row's Attempt may hold devices."""
    wanted = {row.job for row in rows if row.phase in LIVE}
    strays = (state for state in snapshot.attempts if state.name not in wanted)
    void = (row for row in rows if row.phase not in LIVE and may_hold_devices(row))
    return any(attempt_holds_devices(state, snapshot) for state in strays) or any(void)


def teardown_due(row: TrialRow, snapshot: Snapshot) -> datetime | None:
    """When a row's devices should be free; None if they are or the Attempt is wanted."""
    if row.phase in LIVE or row.phase is TrialPhase.PENDING or not may_hold_devices(row) or row.ended_at is None:
        return None
    return row.ended_at + timedelta(seconds=snapshot.benchmark.spec.limits.teardown_seconds)


def overdue_teardown(rows: tuple[TrialRow, ...], snapshot: Snapshot) -> str:
    """A sentence about pods that hold devices after limits.teardownSeconds, and how to free them; empty if none do."""
    late = {row.job for row in rows if (due := teardown_due(row, snapshot)) is not None and due <= snapshot.now}
    pods = [pod for state in snapshot.attempts if state.name in late for pod in state.pods if pod.holds_devices]
    if not late or not pods:
        return f"Jobs that are still there: {', '.join(sorted(filter(None, late)))}" if late else ""
    return f"Pods still hold devices: {_named(pods)}"


def leftovers_of_previous(snapshot: Snapshot) -> str:
    """A sentence about what an earlier Benchmark of this name left holding devices, and how to free it, or empty."""
    # Only the garbage collector deletes it, since its owner is gone.
    left = [
        state for state in snapshot.attempts if not is_ours(state, snapshot) and attempt_holds_devices(state, snapshot)
    ]
    pods = [pod for state in left for pod in state.pods if pod.holds_devices]
    if not pods:
        jobs = ", ".join(state.name for state in left)
        return f"Jobs of an earlier benchmark of this name are still there: {jobs}" if left else ""
    return f"Pods of an earlier benchmark of this name still hold devices: {_named(pods)}"


def _named(pods: list[PodState]) -> str:
    """The pods with their nodes, and the command that frees a dead node's."""
    names = ", ".join(f"{pod.name} on {pod.node or 'no node'}" for pod in pods)
    nodes = sorted({pod.node for pod in pods if pod.node})
    command = "; ".join(f"kubectl taint nodes {node} node.kubernetes.io/out-of-service=:NoExecute" for node in nodes)
    return f"{names}. If a node is dead, free them: {command}" if command else names
