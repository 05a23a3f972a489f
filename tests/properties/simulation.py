"""Simulates a cluster: jobs, pods, a queue, a clock and an API server that versions what it stores.

The API server refuses a status that was decided on an older version. Jobs are made once by name and deleted by uid.
A deleted job is gone at once, its pods hold their devices until the kubelet lets them go. A queue may hold a job when
it is made, and take it back: its pods are deleted then, and others are made when it is admitted again.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from properties.invariants import check_change, check_counted
from sdbench.api.spec import Spec
from sdbench.api.status import Status, TrialPhase
from sdbench.core.decide import decide
from sdbench.core.snapshot import (
    AttemptState,
    Bounds,
    CreateJob,
    Decision,
    DeleteJob,
    PodExit,
    PodState,
    Snapshot,
    WarningEvent,
)
from sdbench.core.trial.row import LIVE, TERMINAL
from sdbench_trainer.report import Report
from unit.core.worlds import DEFAULTS, NOON, UID, benchmark, failure, report

MOST_KEPT = 8


@dataclass
class Job:
    """A job and its pods in the simulated cluster."""

    start: CreateJob
    uid: str | None
    created_at: datetime
    pods: list[PodState] = field(default_factory=list)
    warnings_about: list[WarningEvent] = field(default_factory=list)
    touched: bool = False
    """Something has interfered, so its result need not count."""
    suspended: bool = False
    """A queue has suspended it."""
    ended_at: datetime | None = None

    def state(self) -> AttemptState:
        return AttemptState(
            name=self.start.name,
            trial=self.start.trial,
            attempt=self.start.attempt,
            job_uid=self.uid,
            created_at=self.created_at,
            planned_pods=self.start.pods,
            job_ended=self.ended_at is not None,
            ended_at=self.ended_at,
            suspended=self.suspended,
            queue="night" if self.suspended else "",
            pods=tuple(self.pods),
            warnings_about=tuple(self.warnings_about),
        )

    @property
    def holds_devices(self) -> bool:
        return any(pod.holds_devices for pod in self.pods)


@dataclass(frozen=True)
class Reading:
    """What an operator has read: the Snapshot, and the version of the Benchmark in it."""

    snapshot: Snapshot
    version: int


class Cluster:
    """The simulated cluster, which operators, chance and people change."""

    def __init__(self, asked: Spec, bounds: Bounds = DEFAULTS.bounds, uid: str = UID) -> None:
        self.spec = asked
        self.bounds = bounds
        self.uid = uid
        self.status = Status()
        self.version = 0
        self.generation = 1
        self.now = NOON
        self.jobs: dict[str, Job] = {}
        self.serial = 0
        self.others = 0
        """The number of running Trials of other Benchmarks."""
        self.backend = True
        """Whether the cluster serves PyTorchJobs."""
        self.queued = False
        """Whether a queue suspends jobs that are created now."""
        self.delete_self = False
        """Whether the Benchmark has deleted itself."""
        self.rates: dict[float, str] = {}
        """Every rate that was ever reported, with its Attempt."""
        self.known: set[str] = set()
        """Names of jobs in any stored status, which must not be used again."""
        self.disturbed = False
        """Whether other processes take CPU time from what is measured now."""
        self.mixed: set[str] = set()
        """Attempts of which a pod was replaced after all pods had been seen."""

    def read(self) -> Reading:
        of = benchmark(self.spec, self.status, generation=self.generation, uid=self.uid)
        attempts = tuple(job.state() for job in self.jobs.values()) if self.backend else ()
        defaults = replace(DEFAULTS, bounds=self.bounds)
        snapshot = Snapshot(of, attempts, defaults, self.now, backend=self.backend, others_running=self.others)
        return Reading(snapshot, self.version)

    def stored(self, made: Decision, seen: Reading) -> bool:
        """PUTs the status; returns whether it was accepted. Checks every decision, even one that changes nothing."""
        if seen.version != self.version or self.delete_self:
            return False
        check_change(self.status, made.status, seen.snapshot)
        if made.status != self.status:
            self.status = Status.model_validate(made.status.document())
            assert self.status == made.status, "a status must survive being stored"
            self.version += 1
            self.known |= {row.job for row in self.status.trials if row.job and row.job_uid}
        return True

    def carried_out(
        self, made: Decision, most: int | None = None, times: int = 1, stored_as: int | None = None
    ) -> None:
        """Carries out the first acts of a stored decision, each `times` times.

        `stored_as` is the version under which it was stored: of a Benchmark that has changed since, nothing is started.
        Deletions name a UID and need no such care.
        """
        outdated = stored_as not in (None, self.version)
        acts: list[CreateJob | DeleteJob] = [*(() if outdated else made.jobs_to_create), *made.jobs_to_delete]
        for act in acts[:most]:
            for _ in range(times):
                self.done(act)
        if made.delete_self and (most is None or most > len(acts)):
            self.expire()

    def done(self, act: CreateJob | DeleteJob) -> None:
        """Carries out a POST or DELETE as the API server would."""
        if self.backend and isinstance(act, CreateJob):
            self._created(act)
        elif self.backend and isinstance(act, DeleteJob):
            self._deleted(act)
        self.check()

    def _created(self, start: CreateJob) -> None:
        if start.name not in self.jobs and not self.delete_self:
            assert start.name not in self.known, "a name is used again"
            job = Job(start, self.fresh("job"), self.now, suspended=self.queued)
            self.jobs[start.name] = job
            self.admit(job, still=self.queued)

    def admit(self, job: Job, still: bool = False) -> None:
        """The queue admits the job, whose pods are then created."""
        job.suspended = still
        if not job.suspended and not job.pods and job.uid is not None and job.ended_at is None:
            self._note_other_pods(job)
            job.pods = [self.new_pod(job.start.name, index) for index in range(job.start.pods)]

    def suspend(self, job: Job) -> None:
        """The queue suspends the job, and its pods are being deleted. One that has just succeeded may still count."""
        if job.uid is not None and job.ended_at is None and not job.suspended:
            job.suspended = job.touched = True
            job.pods = [replace(pod, deleting=True) for pod in job.pods if pod.holds_devices]

    def _deleted(self, stop: DeleteJob) -> None:
        job = self.jobs.get(stop.name)
        if job is None or job.uid != stop.job_uid:
            return
        row = self.status.trials[job.start.trial]
        assert row.phase not in LIVE or row.job != stop.name, "a job is deleted though the status wants it"
        self.delete(job)

    def delete(self, job: Job) -> None:
        """The job is gone; pods that still run are being deleted."""
        job.uid = None
        job.pods = [replace(pod, deleting=True) for pod in job.pods if pod.holds_devices]
        self.swept(job)

    def expire(self) -> None:
        """The Benchmark is gone, and its jobs are garbage-collected."""
        rows = self.status.trials
        assert all(row.phase in TERMINAL for row in rows), "deleted before its end"
        assert not any(job.holds_devices for job in self.jobs.values()), "deleted while it holds devices"
        self.delete_self = True
        for job in list(self.jobs.values()):
            self.delete(job)

    def swept(self, job: Job) -> None:
        """An Attempt without job and pods does not exist."""
        if job.uid is None and not job.pods:
            del self.jobs[job.start.name]

    def fresh(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}-{self.serial}"

    def new_pod(self, name: str, index: int) -> PodState:
        return PodState(name=f"{name}-{index}", uid=self.fresh("pod"), index=index, holds_devices=True)

    def replace_pod(self, job: Job, index: int) -> None:
        """The training-operator recreates a pod under the same name while its job has not ended."""
        if job.ended_at is None:
            self._note_other_pods(job)
            job.pods[index] = self.new_pod(job.start.name, job.pods[index].index)
            job.touched = True

    def _note_other_pods(self, job: Job) -> None:
        row = self.status.trials[job.start.trial]
        if row.job == job.start.name and row.phase in LIVE and row.pods_checksum is not None:
            self.mixed.add(job.start.name)

    def run(self, job: Job, index: int) -> None:
        """A pod is scheduled and its container runs."""
        pod = job.pods[index]
        if pod.exit is None and pod.started_at is None and not pod.deleting:
            begun = pod.scheduled_at or self.now
            pod = replace(pod, scheduled_at=begun, started_at=self.now, node=f"node-{index}")
            job.pods[index] = replace(pod, unschedulable="", waiting_reason="")

    def end(self, job: Job, index: int, code: int, why: str = "Error") -> None:
        """A pod's container ends; rank 0 leaves a Report with a rate that no other has."""
        pod = job.pods[index]
        if pod.exit is not None or pod.started_at is None:
            return
        said = self.measured(job) if code == 0 and pod.index == 0 else failure(job.start.name, code, "tail")
        left = said if code or pod.index == 0 else None
        job.pods[index] = replace(pod, exit=PodExit(code, why), holds_devices=False, report=left)
        job.touched |= code != 0
        if code or pod.index == 0:
            self.end_job(job)

    def end_job(self, job: Job) -> None:
        """The job reports success if rank 0 has succeeded, and failure otherwise."""
        if job.uid is not None and not job.suspended:
            job.ended_at = job.ended_at or self.now

    def measured(self, job: Job) -> Report:
        rate = 100.0 + len(self.rates)
        self.rates[rate] = job.start.name
        return report(job.start.name, rate, job.start.run.trainer.global_batch_size, disturbed=self.disturbed)

    def let_go(self, job: Job) -> None:
        """The kubelet has ended the pods that are being deleted."""
        job.pods = [] if job.uid is None else [pod for pod in job.pods if not pod.deleting]
        self.swept(job)

    def owed(self, snapshot: Snapshot) -> dict[int, float]:
        """The rate that each Trial's row must take from this Snapshot: complete, without interference, still wanted."""
        owed: dict[int, float] = {}
        for row in snapshot.benchmark.status.trials if snapshot.backend else ():
            job = self.jobs.get(row.job or "")
            if row.phase in LIVE and job is not None and job.uid is not None and not job.touched:
                reports = [pod.report for pod in job.pods if pod.exit is not None and pod.index == 0]
                if len(job.pods) == job.start.pods and all(pod.exit is not None for pod in job.pods):
                    owed[row.trial] = reports[0].measurement.images_per_second  # type: ignore[union-attr]
        return owed

    def reconciled(self, crash_after: int | None = None) -> Decision:
        """Makes one pass of an operator that may crash after any number of acts; the PUT is the first."""
        seen = self.read()
        owed = self.owed(seen.snapshot)
        made = decide(seen.snapshot)
        self.check_silence(seen.snapshot, made)
        if crash_after != 0 and self.stored(made, seen):
            for trial, rate in owed.items():
                check_counted(self.status.trials[trial], rate)
            self.carried_out(made, None if crash_after is None else crash_after - 1)
        self.check()
        return made

    def check_silence(self, snapshot: Snapshot, made: Decision) -> None:
        """A Decision on a finished and cleaned-up status changes nothing but the deletion of kept jobs."""
        stored = snapshot.benchmark.status
        finished = stored.trials and all(row.phase in TERMINAL for row in stored.trials)
        released = all(row.job is None or row.released_at is not None for row in stored.trials)
        kept = [job for job in self.jobs.values() if job.uid is not None and job.ended_at is not None]
        clean = len(kept) == len(self.jobs) and not any(job.holds_devices for job in kept)
        if finished and released and clean and stored.observed_generation == self.generation:
            assert made.status == stored
            assert (made.jobs_to_create, made.events) == ((), ())
            assert kept or not made.jobs_to_delete
            waits = kept or self.spec.ttl_seconds_after_finished is not None
            assert waits or made.requeue_after is None

    def check(self) -> None:
        """Checks what must hold at every moment."""
        holding = [job for job in self.jobs.values() if job.holds_devices]
        holders = [job.start.trial for job in holding]
        assert len(holders) == len(set(holders)), "two Attempts of one Trial hold devices"
        assert len(holding) <= self.spec.parallelism, "more Attempts than spec.parallelism hold devices"
        devices = sum(job.start.pods * job.start.devices_per_pod for job in holding)
        assert devices <= self.spec.limits.max_devices, "more devices than limits.maxDevices"
        rates = [float(row.measurement.images_per_second) for row in self.status.trials if row.measurement]
        assert len(rates) == len(set(rates)), "a result is counted twice"
        for row in self.status.trials:
            if row.measurement is not None:
                assert self.rates[float(row.measurement.images_per_second)] == row.job, "a result of another Attempt"
                assert row.job not in self.mixed, "a result of pods that did not see one run"
            if row.phase is TrialPhase.SKIPPED:
                assert row.job is None or row.released_at is not None, "a Trial that is not needed may hold devices"

    def check_kept(self) -> None:
        """Checks after an uninterrupted pass that few jobs are kept, and that they have ended."""
        wanted = {row.job for row in self.status.trials if row.phase in LIVE}
        kept = [job for job in self.jobs.values() if job.uid is not None and job.start.name not in wanted]
        over = [job for job in kept if job.ended_at is not None and not job.holds_devices]
        assert len(over) <= MOST_KEPT + self.spec.parallelism, "too many jobs are kept"

    def carried_on(self, until: timedelta | None = None) -> None:
        """Goes on without faults: every pod runs and succeeds, deletions complete, time passes."""
        for job in list(self.jobs.values()):
            self.let_go(job)
            if job.uid is not None:
                self.admit(job)
            for index in range(len(job.pods)):
                self.run(job, index)
                self.end(job, index, 0, "Completed")
        self.now += max(timedelta(seconds=7), until or timedelta(0))
