"""Defines Snapshot, all that a decision may depend on, and Decision, all that it may ask for.

The same types serve the cluster, where an Attempt is a PyTorchJob and its pods, and a local run, where it is a process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.spec_scheduling import Preset
from sdbench.api.status import Status
from sdbench.api.workload import Workload
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig


@dataclass(frozen=True)
class PodExit:
    """The end of a pod's training container."""

    code: int
    reason: str = ""
    """The kubelet's word: Completed, Error, OOMKilled, …"""
    message: str = ""
    """The termination message, or the log's tail."""
    before_start: bool = False
    """Whether the init container that waits for the master ended, and the training container never ran."""


@dataclass(frozen=True)
class PodState:
    """The state of one pod of an Attempt; locally, of its one process."""

    name: str
    uid: str
    index: int
    """0: the pod with rank 0 (master); n: worker n-1."""
    holds_devices: bool
    """Whether any of its containers is not known to have terminated."""
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    node: str | None = None
    image_id: str = ""
    waiting_reason: str = ""
    """The kubelet's word for why the container does not run yet: ImagePullBackOff, CreateContainerConfigError, …"""
    waiting_message: str = ""
    unschedulable: str = ""
    """Message of PodScheduled=False."""
    disruption: str = ""
    """The reason of the pod, such as Evicted, or of its condition DisruptionTarget, if it was taken off its node."""
    disruption_message: str = ""
    """Details of the disruption: who preempted it, or what the node was short of."""
    lost: bool = False
    """Whether the kubelet has lost track of the container."""
    deleting: bool = False
    exit: PodExit | None = None
    report: Report | None = None


@dataclass(frozen=True)
class WarningEvent:
    """A warning Event about a job or a pod that is stuck."""

    about: str
    """Name of the job or pod."""
    reason: str
    """FailedCreatePod, FailedMount, FailedScheduling, …"""
    message: str
    at: datetime | None = None
    """When it was first reported, by the API server's clock; None: not known."""


@dataclass(frozen=True)
class AttemptState:
    """The state of one Attempt. It exists while its job or any of its pods exists."""

    name: str
    trial: int
    attempt: int
    job_uid: str | None
    """None: the job is gone and only pods are left."""
    created_at: datetime
    planned_pods: int
    job_ended: bool = False
    """The job says Succeeded or Failed."""
    ended_at: datetime | None = None
    """Since when it says so."""
    deleting: bool = False
    suspended: bool = False
    """The job is held by a queue, or a person: it has no pods, or they are being taken away."""
    queue: str = ""
    """The name of the queue that may hold it."""
    suspension_at: datetime | None = None
    """When it was last suspended or resumed."""
    said: str = ""
    """The job's own message about its failure."""
    foreign: bool = False
    """An object of another owner has the Attempt's name."""
    pods: tuple[PodState, ...] = ()
    warnings_about: tuple[WarningEvent, ...] = ()

    @property
    def holds_devices(self) -> bool:
        """Whether a job may still make pods, or a pod still runs."""
        return (self.job_uid is not None and not self.foreign) or any(pod.holds_devices for pod in self.pods)


@dataclass(frozen=True)
class Reference:
    """Another Benchmark that the question names, as it is now."""

    name: str
    benchmark: Benchmark | None = None
    absence: str = ""
    """The reason for its absence, as a part of a sentence."""


@dataclass(frozen=True)
class Bounds:
    """The bounds that the administrator sets, whatever an author asks for; None: no bound."""

    max_devices: int | None = None
    """Devices at once, of one Benchmark."""
    device_hours: Decimal | None = None
    """Device-hours of one Benchmark."""
    concurrent_trials: int | None = None
    """Trials at once, of all Benchmarks together."""


@dataclass(frozen=True)
class Defaults:
    """The defaults that the operator adds to a question."""

    image: str
    operator_version: str
    bounds: Bounds = Bounds()
    presets: Mapping[str, Preset] | None = None
    """The administrator's presets by name. None: there is no administrator, and a preset has no meaning."""
    workload: Workload | None = None
    """The parts of every pod that an administrator fixes; None: nothing."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision may depend on."""

    benchmark: Benchmark
    attempts: tuple[AttemptState, ...]
    defaults: Defaults
    now: datetime
    references: tuple[Reference, ...] = ()
    backend: bool = True
    """Whether the cluster knows PyTorchJobs; if not, nothing is known of any Attempt."""
    others_running: int = 0
    """Trials of other Benchmarks that hold devices, or may."""


@dataclass(frozen=True)
class CreateJob:
    """A job to create now; creating it twice is harmless, since its name is unique."""

    name: str
    trial: int
    attempt: int
    image: str
    run: RunConfig
    pods: int
    devices_per_pod: int


@dataclass(frozen=True)
class DeleteJob:
    """A job to delete, and why."""

    name: str
    job_uid: str
    reason: Reason
    message: str


@dataclass(frozen=True)
class Event:
    """An Event to write about the Benchmark."""

    warning: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """The whole status, which is stored first, and the jobs to create and to delete then."""

    status: Status
    jobs_to_create: tuple[CreateJob, ...] = ()
    jobs_to_delete: tuple[DeleteJob, ...] = ()
    events: tuple[Event, ...] = ()
    delete_self: bool = False
    """Whether the Benchmark itself is to be deleted: spec.ttlSecondsAfterFinished."""
    requeue_after: timedelta | None = None
    """When to decide again even if nothing changes; None: nothing is awaited."""
