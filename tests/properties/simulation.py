"""How would a cluster answer to decisions? Jobs, pods, a clock and an API server that versions what it stores.

The API server refuses a status that was decided on an older version. Jobs are made once by name and deleted by uid.
A deleted job is gone at once, its pods hold their devices until the kubelet lets them go.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean, stdev

from sdbench.api.spec import Spec
from sdbench.api.status import Status, TrialPhase, TrialRow
from sdbench.core.decide import decide
from sdbench.core.rows import LIVE, TERMINAL
from sdbench.core.world import AttemptState, Complaint, Decision, PodExit, PodState, Start, Stop, World
from sdbench_trainer.report import Report
from unit.core.worlds import DEFAULTS, NOON, benchmark, failure, report


@dataclass
class Job:
    """A job and its pods, as the cluster has them."""

    start: Start
    uid: str | None
    created_at: datetime
    pods: list[PodState] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    touched: bool = False
    """Somebody or something has interfered, so that its result need not count."""

    @property
    def ended(self) -> bool:
        return bool(self.pods) and any(pod.exit is not None for pod in self.pods)

    def state(self) -> AttemptState:
        return AttemptState(
            name=self.start.name,
            trial=self.start.trial,
            attempt=self.start.attempt,
            job_uid=self.uid,
            created_at=self.created_at,
            planned_pods=self.start.pods,
            job_ended=self.ended,
            pods=tuple(self.pods),
            complaints=tuple(self.complaints),
        )


@dataclass(frozen=True)
class Snapshot:
    """What a decider has read: the World, and the version of the Benchmark in it."""

    world: World
    version: int


class Cluster:
    """The truth, changed by deciders, by fate and by people."""

    def __init__(self, asked: Spec) -> None:
        self.spec = asked
        self.status = Status()
        self.version = 0
        self.generation = 1
        self.now = NOON
        self.jobs: dict[str, Job] = {}
        self.serial = 0
        self.rates: dict[float, str] = {}
        """Every rate that was ever reported, with the Attempt that did."""
        self.known: set[str] = set()
        """Names of jobs that a stored status has seen: they are not used again."""
        self.disturbed = False
        """Strangers take CPU time from whatever is measured now."""
        self.mixed: set[str] = set()
        """Attempts one of whose pods was replaced after all of them had been seen."""

    def snapshot(self) -> Snapshot:
        of = benchmark(self.spec, Status.model_validate(self.status.document()), generation=self.generation)
        attempts = tuple(job.state() for job in self.jobs.values())
        return Snapshot(World(of, attempts, DEFAULTS, self.now), self.version)

    def stored(self, made: Decision, version: int) -> bool:
        """PUT: whether the status was taken. Every change is checked against what may never change."""
        if version != self.version:
            return False
        if made.status != self.status:
            check_terminal_rows_are_sticky(self.status, made.status)
            check_spared(self.status, made.status, self.spec)
            self.status = Status.model_validate(made.status.document())
            assert self.status == made.status, "a status must survive being stored"
            self.version += 1
            self.known |= {row.job for row in self.status.trials if row.job and row.job_uid}
        return True

    def done(self, act: Start | Stop) -> None:
        """POST or DELETE, as the API server would answer."""
        if isinstance(act, Start):
            self._created(act)
        else:
            self._deleted(act)
        self.check()

    def all_done(self, acts: list[Start | Stop]) -> None:
        for act in acts:
            self.done(act)

    def _created(self, start: Start) -> None:
        if start.name not in self.jobs:
            assert start.name not in self.known, "a name is used again"
            job = Job(start, self.fresh("job"), self.now)
            job.pods = [self.new_pod(start.name, index) for index in range(start.pods)]
            self.jobs[start.name] = job

    def _deleted(self, stop: Stop) -> None:
        job = self.jobs.get(stop.name)
        if job is None or job.uid != stop.job_uid:
            return
        row = self.status.trials[job.start.trial]
        assert row.phase not in LIVE or row.job != stop.name, "a job is deleted though the status wants it"
        self.delete(job)

    def delete(self, job: Job) -> None:
        """The job is gone; pods that still run are told to end."""
        job.uid = None
        job.pods = [replace(pod, deleting=True) for pod in job.pods if pod.holds_devices]
        self.swept(job)

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
        """The training-operator makes a pod anew under the same name."""
        row = self.status.trials[job.start.trial]
        if row.job == job.start.name and row.phase in LIVE and row.pods_checksum is not None:
            self.mixed.add(job.start.name)
        job.pods[index] = self.new_pod(job.start.name, job.pods[index].index)
        job.touched = True

    def run(self, job: Job, index: int) -> None:
        """A pod is scheduled and its container runs."""
        pod = job.pods[index]
        if pod.exit is None and pod.started_at is None:
            pod = replace(pod, scheduled_at=self.now, started_at=self.now, node=f"node-{index}")
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

    def measured(self, job: Job) -> Report:
        rate = 100.0 + len(self.rates)
        self.rates[rate] = job.start.name
        return report(job.start.name, rate, job.start.run.trainer.global_batch_size, disturbed=self.disturbed)

    def let_go(self, job: Job) -> None:
        """The kubelet has ended the pods of a deleted job."""
        if job.uid is None:
            job.pods = []
            self.swept(job)

    def owed(self, world: World) -> dict[int, float]:
        """Which Trials' rows must take which rate from this World: complete, undisturbed, and still wanted."""
        owed: dict[int, float] = {}
        for row in world.benchmark.status.trials:
            job = self.jobs.get(row.job or "")
            if row.phase in LIVE and job is not None and job.uid is not None and not job.touched:
                reports = [pod.report for pod in job.pods if pod.exit is not None and pod.index == 0]
                if len(job.pods) == job.start.pods and all(pod.exit is not None for pod in job.pods):
                    owed[row.trial] = reports[0].measurement.images_per_second  # type: ignore[union-attr]
        return owed

    def reconciled(self, crash_after: int | None = None) -> Decision:
        """One pass of an operator that may die after any number of acts; the PUT is the first."""
        seen = self.snapshot()
        owed = self.owed(seen.world)
        made = decide(seen.world)
        self.check_silence(seen.world, made)
        acts: list[Start | Stop] = [*made.starts, *made.stops]
        if crash_after != 0 and self.stored(made, seen.version):
            for trial, rate in owed.items():
                check_counted(self.status.trials[trial], rate)
            self.all_done(acts[: None if crash_after is None else crash_after - 1])
        self.check()
        return made

    def check_silence(self, world: World, made: Decision) -> None:
        """A Decision on a status that is finished and clean changes nothing."""
        stored = world.benchmark.status
        finished = stored.trials and all(row.phase in TERMINAL for row in stored.trials)
        released = all(row.job is None or row.released_at is not None for row in stored.trials)
        if finished and released and not world.attempts and stored.observed_generation == self.generation:
            assert (made.starts, made.stops, made.notices, made.look_again) == ((), (), (), None)
            assert made.status == stored

    def check(self) -> None:
        """What holds at every moment."""
        holding = [job for job in self.jobs.values() if any(pod.holds_devices for pod in job.pods)]
        holders = [job.start.trial for job in holding]
        assert len(holders) == len(set(holders)), "two Attempts of one Trial hold devices"
        assert len(holding) <= self.spec.parallelism, "more Attempts than spec.parallelism hold devices"
        rates = [float(row.measurement.images_per_second) for row in self.status.trials if row.measurement]
        assert len(rates) == len(set(rates)), "a result is counted twice"
        for row in self.status.trials:
            if row.measurement is not None:
                assert self.rates[float(row.measurement.images_per_second)] == row.job, "a result of another Attempt"
                assert row.job not in self.mixed, "a result of pods that did not see one run"

        for row in self.status.trials:
            if row.phase is TrialPhase.SKIPPED:
                assert row.job is None or row.released_at is not None, "a Trial that is not needed may hold devices"

    def carried_on(self) -> None:
        """Without further trouble: every pod runs and ends well, what is deleted goes, time passes."""
        for job in list(self.jobs.values()):
            for index in range(len(job.pods)):
                self.run(job, index)
                self.end(job, index, 0, "Completed")
            self.let_go(job)
        self.now += timedelta(seconds=7)


def check_spared(before: Status, after: Status, asked: Spec) -> None:
    """Only a Point with enough undisturbed repeats, close together, is spared the others."""
    known = {row.trial for row in before.trials if row.phase is TrialPhase.SKIPPED}
    fresh = {row.point for row in after.trials if row.phase is TrialPhase.SKIPPED and row.trial not in known}
    for point in fresh:
        measured = [row.measurement for row in after.trials if row.point == point and row.measurement]
        calm = [float(one.median_images_per_second) for one in measured if not one.disturbed]
        assert len(calm) >= max(2, asked.repeats.min), "spared too early"
        assert stdev(calm) / fmean(calm) <= float(asked.repeats.target_coefficient_of_variation or 0), "spared loose"


def check_counted(row: TrialRow, rate: float) -> None:
    assert row.phase is TrialPhase.SUCCEEDED, f"a result is lost: {row}"
    assert row.measurement is not None
    assert float(row.measurement.images_per_second) == rate


def check_terminal_rows_are_sticky(before: Status, after: Status) -> None:
    for old in before.trials:
        new = after.trials[old.trial]
        if old.phase in TERMINAL:
            may = {"released_at": new.released_at} if old.released_at is None else {}
            assert new == old.model_copy(update=may), "a terminal row has changed"
        if old.measurement is not None:
            assert new.measurement == old.measurement
