"""What may a decision look at, and what may it want? World and Decision, frozen.

The same types serve the cluster (an Attempt is a PyTorchJob and its pods) and this machine (a launcher process).
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
    """How the training container of a pod ended."""

    code: int
    reason: str = ""
    """As the kubelet says it: Completed, Error, OOMKilled, …"""
    message: str = ""
    """The termination message, or the log's tail."""
    before_start: bool = False
    """It was the init container that waits for the master, and the training container never ran."""


@dataclass(frozen=True)
class PodState:
    """What is known of one pod of an Attempt; locally, of its one launcher."""

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
    """Why the container does not run yet, as the kubelet says it: ImagePullBackOff, CreateContainerConfigError, …"""
    waiting_message: str = ""
    unschedulable: str = ""
    """Message of PodScheduled=False."""
    disruption: str = ""
    """What took it off its node: reason of the pod, such as Evicted, or of its condition DisruptionTarget."""
    disruption_message: str = ""
    """What is said of it: who preempted it, of what the node was short."""
    lost: bool = False
    """The kubelet does not know any more what became of its container."""
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
    """When it was first said, as the API server says; None: not known."""


@dataclass(frozen=True)
class AttemptState:
    """What is known of one Attempt. It exists while its job or any of its pods exists."""

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
    """Which queue may hold it."""
    suspension_at: datetime | None = None
    """When it was last suspended or let go."""
    said: str = ""
    """Why the job has failed, in its own words."""
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
    """Why there is none, as a part of a sentence."""


@dataclass(frozen=True)
class Bounds:
    """What the administrator allows, whatever an author asks for; None: no bound."""

    max_devices: int | None = None
    """At once, of one Benchmark."""
    device_hours: Decimal | None = None
    """Of one Benchmark."""
    concurrent_trials: int | None = None
    """Of all Benchmarks together."""


@dataclass(frozen=True)
class Defaults:
    """What the operator adds to a question."""

    image: str
    operator_version: str
    bounds: Bounds = Bounds()
    presets: Mapping[str, Preset] | None = None
    """What an administrator defines, by name. None: there is no administrator, and no preset has a meaning."""
    workload: Workload | None = None
    """What an administrator fixes in every pod; None: nothing."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision may look at."""

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
    """An Attempt that may be created now (again: creation is refused when it exists)."""

    name: str
    trial: int
    attempt: int
    image: str
    run: RunConfig
    pods: int
    devices_per_pod: int


@dataclass(frozen=True)
class DeleteJob:
    """An Attempt whose job must go, and why."""

    name: str
    job_uid: str
    reason: Reason
    message: str


@dataclass(frozen=True)
class Event:
    """Something that a person wants to read among the Events of the Benchmark."""

    warning: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """What to show, start and stop. The status is stored before anything is started or stopped."""

    status: Status
    jobs_to_create: tuple[CreateJob, ...] = ()
    jobs_to_delete: tuple[DeleteJob, ...] = ()
    events: tuple[Event, ...] = ()
    delete_self: bool = False
    """The Benchmark itself is to be deleted: spec.ttlSecondsAfterFinished."""
    requeue_after: timedelta | None = None
    """When to decide again even if nothing changes; None: nothing is awaited."""
