"""Which facts can be read off an AttemptState? Each is a function."""

import zlib
from collections.abc import Iterable
from datetime import datetime
from math import isfinite

from sdbench.api.names import attempt_name
from sdbench.api.status import TrialRow
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import AttemptState, PodState, Snapshot
from sdbench_trainer.report import Measurement, Report
from sdbench_trainer.run import division

DIGEST_CHARACTERS = 19
"""As in sha256:0123456789ab."""

SLOWEST = 1e-6
"""Images per second below which a rate is no number that could be shown."""


def is_ours(state: AttemptState, snapshot: Snapshot) -> bool:
    """Whether the Attempt is one of this very Benchmark, and not of a namesake before it."""
    metadata = snapshot.benchmark.metadata
    return not state.foreign and state.name == attempt_name(metadata.name, metadata.uid, state.trial, state.attempt)


def all_pods_exist(state: AttemptState) -> bool:
    indexes = sorted(pod.index for pod in state.pods)
    return bool(indexes) and indexes == list(range(state.planned_pods))


def pods_checksum(state: AttemptState) -> str:
    """Of the pods' UIDs: rows have no room for 32 UIDs."""
    return f"{zlib.crc32(','.join(sorted(pod.uid for pod in state.pods)).encode()):08x}"


def unsuspended_since(state: AttemptState) -> datetime:
    """Since when nobody holds the job, as far as it says: its creation, or the end of its last suspension."""
    return state.created_at if state.suspension_at is None else max(state.created_at, state.suspension_at)


def had_all_pods(row: TrialRow) -> bool:
    """Whether all pods of the row's Attempt were there once."""
    return row.pods_checksum is not None or row.scheduled_at is not None


def replaced_pod(row: TrialRow, state: AttemptState) -> str | None:
    """Which pod has taken the place of another under the same job: their ranks did not see one run."""
    places = set()
    for pod in state.pods:
        if pod.index in places:
            return f"Pod {pod.name}"
        places.add(pod.index)
    if row.pods_checksum is None or not all_pods_exist(state) or row.pods_checksum == pods_checksum(state):
        return None
    newcomers = [pod.name for pod in state.pods if len(state.pods) == 1 or _later(pod, row)]
    return f"Pod {newcomers[0]}" if newcomers else f"A pod of {state.name}"


def _later(pod: PodState, row: TrialRow) -> bool:
    """Whether it was bound to its node after the last of those that were seen."""
    return pod.scheduled_at is None or (row.scheduled_at is not None and pod.scheduled_at > row.scheduled_at)


def suspended_after_scheduling(row: TrialRow, state: AttemptState) -> bool:
    """Whether the job was suspended since its pods were scheduled; by now it may have been let go again.

    Before them it may have been suspended and let go, too: that is how a queue admits it.
    """
    if state.suspension_at is None or row.scheduled_at is None:
        return state.suspended
    return state.suspended or state.suspension_at > row.scheduled_at


def deleted_pod(row: TrialRow, state: AttemptState) -> str | None:
    """A sentence about a pod that somebody deleted while the Attempt was wanted."""
    for pod in state.pods:
        if pod.deleting:
            return f"Pod {pod.name} was deleted"
    if row.pods_checksum is not None and not all_pods_exist(state):
        places = {pod.index for pod in state.pods}
        missing = [_pod_name(state, index) for index in range(state.planned_pods) if index not in places]
        return f"{len(missing)} of {state.planned_pods} pods were deleted, {missing[0]} among them"
    return None


def pod_failed(pod: PodState) -> bool:
    """Whether its container is known to have ended badly."""
    return pod.lost or (pod.exit is not None and pod.exit.code != 0)


def job_replaced(row: TrialRow, state: AttemptState) -> bool:
    """Whether another job has the name of the one that was seen."""
    return None not in (row.job_uid, state.job_uid) and row.job_uid != state.job_uid


def job_is_gone(row: TrialRow, state: AttemptState) -> bool:
    """Whether the row's job is gone or going, though nobody here has asked for it."""
    return state.job_uid is None or state.deleting or job_replaced(row, state)


def all_exited_well(state: AttemptState) -> bool:
    return all_pods_exist(state) and all(pod.exit is not None and pod.exit.code == 0 for pod in state.pods)


def all_exited(state: AttemptState) -> bool:
    return all(pod.exit is not None for pod in state.pods)


def scheduled_at(state: AttemptState) -> datetime | None:
    """When the last pod was bound to a node, once all are."""
    return _last(state, [pod.scheduled_at for pod in state.pods])


def container_started_at(pod: PodState, seen: datetime | None) -> datetime | None:
    """When its container began to run, as its kubelet says, as far as that can be.

    It was after the pod was bound to its node, which the API server says, and before all pods were seen to run. So a
    clock that is slow shortens a run by less than its pod took to start, and none lengthens it by more than that was
    seen late.
    """
    if pod.started_at is None or pod.scheduled_at is None:
        return pod.started_at
    if pod.started_at < pod.scheduled_at:
        return seen or pod.scheduled_at
    return pod.started_at if seen is None else min(pod.started_at, seen)


def started_at(state: AttemptState, now: datetime) -> datetime | None:
    """When the last container ran, once all do or did; now if a kubelet says what cannot be."""
    last = _last(state, [container_started_at(pod, now) for pod in state.pods])
    return last if last is None else min(last, now)


def _last(state: AttemptState, moments: list[datetime | None]) -> datetime | None:
    known = [time for time in moments if time is not None]
    return max(known) if all_pods_exist(state) and len(known) == state.planned_pods else None


def valid_report(state: AttemptState, trial: Trial) -> Report | None:
    """Rank 0's Report, if it is of this Attempt, complete, finite and of the batch that was asked for."""
    for pod in state.pods:
        report = pod.report
        if pod.index == 0 and report is not None and report.attempt == state.name and report.error is None:
            return report if _trusted(report, trial) else None
    return None


def _trusted(report: Report, trial: Trial) -> bool:
    asked = trial.point.config
    if report.measurement is None or not _complete(report.measurement):
        return False
    if report.measurement.batches != asked.window.batches:
        return False
    return report.batch is None or report.batch.global_batch_size == division(asked, trial.point.devices).run


def _complete(measured: Measurement) -> bool:
    """Whether it may be shown: a number without its complete window is no number."""
    steps = measured.step_seconds
    rates = (measured.images_per_second, measured.median_images_per_second)
    shares = (measured.seconds, steps.p5, steps.p50, steps.p95, measured.rank_skew_ratio, measured.mfu_ratio or 0.0)
    waits = (measured.data_wait_ratio_max, measured.data_wait_ratio_mean)
    strangers = (measured.foreign_cpu_ratio or 0.0, measured.steal_ratio or 0.0)
    if not all(isfinite(value) for value in (*rates, *shares, *waits, *strangers, measured.drift_ratio, measured.loss)):
        return False
    return min(rates) >= SLOWEST and min(*shares, *waits, *strangers) >= 0


def _pod_name(state: AttemptState, index: int) -> str:
    """As the training-operator calls it."""
    return f"{state.name}-worker-{index - 1}" if index else f"{state.name}-master-0"


def different_images(image_ids: Iterable[str]) -> tuple[str, ...]:
    """The images, if there are several, each once and cut short; a pod of which none is known says nothing.

    An image ID is `repository@digest` of a manifest, or the bare digest of a configuration where the image was
    imported into the node: the two cannot be compared, and the repository does not matter (a mirror).
    """
    known = dict.fromkeys(image for image in image_ids if image)
    kinds = [[image.rpartition("@")[2] for image in known if ("@" in image) is named] for named in (True, False)]
    found = next((digests for kind in kinds if len(digests := tuple(dict.fromkeys(kind))) > 1), ())
    return tuple(digest[:DIGEST_CHARACTERS] for digest in found)
