"""Reads facts off an AttemptState, one function a fact."""

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
"""The lowest rate, in images per second, that can be shown."""


def is_ours(state: AttemptState, snapshot: Snapshot) -> bool:
    """Whether the Attempt belongs to this Benchmark, and not to an earlier one of the same name."""
    metadata = snapshot.benchmark.metadata
    return not state.foreign and state.name == attempt_name(metadata.name, metadata.uid, state.trial, state.attempt)


def all_pods_exist(state: AttemptState) -> bool:
    """Whether there is exactly one pod of each planned index."""
    indexes = sorted(pod.index for pod in state.pods)
    return bool(indexes) and indexes == list(range(state.planned_pods))


def pods_checksum(state: AttemptState) -> str:
    """A checksum of the pods' UIDs: rows have no room for 32 UIDs."""
    return f"{zlib.crc32(','.join(sorted(pod.uid for pod in state.pods)).encode()):08x}"


def unsuspended_since(state: AttemptState) -> datetime:
    """The moment since which the job is not suspended: its creation, or the end of its last suspension."""
    return state.created_at if state.suspension_at is None else max(state.created_at, state.suspension_at)


def had_all_pods(row: TrialRow) -> bool:
    """Whether all pods of the row's Attempt have existed at one time."""
    return row.pods_checksum is not None or row.scheduled_at is not None


def replaced_pod(row: TrialRow, state: AttemptState) -> str | None:
    """The pod that has replaced another under the same job, so that their ranks did not see one run."""
    places = set()
    for pod in state.pods:
        if pod.index in places:
            return f"Pod {pod.name}"
        places.add(pod.index)
    if row.pods_checksum is None or not all_pods_exist(state) or row.pods_checksum == pods_checksum(state):
        return None
    # The newcomer was bound to its node after the last of the pods that the row knows.
    newcomers = [
        pod.name
        for pod in state.pods
        if len(state.pods) == 1
        or pod.scheduled_at is None
        or (row.scheduled_at is not None and pod.scheduled_at > row.scheduled_at)
    ]
    return f"Pod {newcomers[0]}" if newcomers else f"A pod of {state.name}"


def suspended_after_scheduling(row: TrialRow, state: AttemptState) -> bool:
    """Whether the job was suspended after its pods were scheduled; it may have been resumed since.

    A suspension before that is how a queue admits a job.
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
        missing = [index for index in range(state.planned_pods) if index not in places]
        # The names that the training-operator gives its pods.
        first = f"{state.name}-worker-{missing[0] - 1}" if missing[0] else f"{state.name}-master-0"
        return f"{len(missing)} of {state.planned_pods} pods were deleted, {first} among them"
    return None


def pod_failed(pod: PodState) -> bool:
    """Whether the pod's container is known to have failed."""
    return pod.lost or (pod.exit is not None and pod.exit.code != 0)


def job_replaced(row: TrialRow, state: AttemptState) -> bool:
    """Whether another job now has the name of the one that was seen."""
    return None not in (row.job_uid, state.job_uid) and row.job_uid != state.job_uid


def all_exited_well(state: AttemptState) -> bool:
    """Whether all planned pods have exited with 0."""
    return all_pods_exist(state) and all(pod.exit is not None and pod.exit.code == 0 for pod in state.pods)


def all_exited(state: AttemptState) -> bool:
    """Whether each pod that exists has exited."""
    return all(pod.exit is not None for pod in state.pods)


def scheduled_at(state: AttemptState) -> datetime | None:
    """When the last pod was bound to a node, once all are."""
    return _last(state, [pod.scheduled_at for pod in state.pods])


def container_started_at(pod: PodState, seen: datetime | None) -> datetime | None:
    """When the pod's container started, as its kubelet says, within the bounds that the API server's clock sets.

    The container started after the pod was bound to its node and before all pods were seen to run. So a slow clock on
    the node shortens a run by less than the pod took to start, and a fast one lengthens it by no more than the delay
    with which the start was seen.
    """
    if pod.started_at is None or pod.scheduled_at is None:
        return pod.started_at
    if pod.started_at < pod.scheduled_at:
        return seen or pod.scheduled_at
    return pod.started_at if seen is None else min(pod.started_at, seen)


def started_at(state: AttemptState, now: datetime) -> datetime | None:
    """When the last container started, once all have; now if a kubelet's clock runs ahead."""
    last = _last(state, [container_started_at(pod, now) for pod in state.pods])
    return last if last is None else min(last, now)


def _last(state: AttemptState, moments: list[datetime | None]) -> datetime | None:
    known = [time for time in moments if time is not None]
    return max(known) if all_pods_exist(state) and len(known) == state.planned_pods else None


def valid_report(state: AttemptState, trial: Trial) -> Report | None:
    """Rank 0's Report, if it belongs to this Attempt, is complete and finite, and ran the requested batch."""
    asked = trial.point.config
    for pod in state.pods:
        report = pod.report
        if pod.index == 0 and report is not None and report.attempt == state.name and report.error is None:
            measured, batch = report.measurement, report.batch
            if measured is None or not _complete(measured) or measured.batches != asked.window.batches:
                return None
            # Another batch is another training, whatever its rate.
            as_asked = batch is None or batch.global_batch_size == division(asked, trial.point.devices).run
            return report if as_asked else None
    return None


def _complete(measured: Measurement) -> bool:
    """Whether the Measurement may be shown: a complete window, with all values finite and none negative."""
    steps = measured.step_seconds
    rates = (measured.images_per_second, measured.median_images_per_second)
    times = (measured.seconds, steps.p5, steps.p50, steps.p95)
    waits = (measured.rank_skew_ratio, measured.data_wait_ratio_max, measured.data_wait_ratio_mean)
    shares = (measured.mfu_ratio or 0.0, measured.foreign_cpu_ratio or 0.0, measured.steal_ratio or 0.0)
    # A drift may be negative, and so may a loss.
    finite = all(map(isfinite, (*rates, *times, *waits, *shares, measured.drift_ratio, measured.loss)))
    return finite and min(rates) >= SLOWEST and min(*times, *waits, *shares) >= 0


def different_images(image_ids: Iterable[str]) -> tuple[str, ...]:
    """The digests of the images, cut short, if there are several; pods whose image is not known are ignored.

    An image ID is `repository@digest` of a manifest, or the bare digest of a configuration where the image was
    imported into the node: the two cannot be compared, and the repository does not matter (a mirror).
    """
    known = dict.fromkeys(image for image in image_ids if image)
    kinds = [[image.rpartition("@")[2] for image in known if ("@" in image) is named] for named in (True, False)]
    found = next((digests for kind in kinds if len(digests := tuple(dict.fromkeys(kind))) > 1), ())
    return tuple(digest[:DIGEST_CHARACTERS] for digest in found)
