"""Whatever happens in whatever order: is each Trial counted once, and does every Benchmark end?"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from properties.simulation import Cluster, Job, Snapshot
from sdbench.core.decide import decide
from sdbench.core.rows import TERMINAL
from sdbench.core.world import Complaint, Start, Stop
from unit.core.worlds import spec

CODES = (1, 64, 65, 66, 67, 68, 69, 70, 71, 72, 135, 137, 143)
WAITING = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ContainerCreating")
PASSES = 600
"""More passes than the largest Benchmark here needs for all its Attempts."""

numbers = st.integers(min_value=0, max_value=7)


class Interleaving(RuleBasedStateMachine):
    """People, fate and deciders take turns; at the end trouble stops and the Benchmark must end."""

    @initialize(
        parallelism=st.integers(1, 3),
        least=st.integers(1, 3),
        more=st.integers(0, 3),
        retries=st.integers(0, 2),
        swept=st.booleans(),
        spread=st.sampled_from(("0.000001", "0.01", "1")),
    )
    def asked(self, parallelism: int, least: int, more: int, retries: int, swept: bool, spread: str) -> None:
        sweep = {"deviceMicrobatchSize": [1, 2]} if swept else None
        repeats = {"min": least, "max": least + more, "targetCoefficientOfVariation": spread}
        self.cluster = Cluster(spec(parallelism=parallelism, repeats=repeats, retries=retries, sweep=sweep))
        self.old: Snapshot | None = None

    def job(self, number: int) -> Job:
        return list(self.cluster.jobs.values())[number % len(self.cluster.jobs)]

    def jobs_exist(self) -> bool:
        return bool(self.cluster.jobs)

    def unclean(self) -> bool:
        return any(job.pods for job in self.cluster.jobs.values())

    # Deciders.

    @rule()
    def an_operator_passes(self) -> None:
        self.cluster.reconciled()

    @rule(acts=st.integers(0, 4))
    def an_operator_dies_in_a_pass(self, acts: int) -> None:
        self.cluster.reconciled(crash_after=acts)

    @rule()
    def somebody_reads_the_world(self) -> None:
        self.old = self.cluster.snapshot()

    @precondition(lambda self: self.old is not None)
    @rule()
    def a_slow_operator_decides_on_what_it_read(self) -> None:
        assert self.old is not None
        made = decide(self.old.world)
        if self.cluster.stored(made, self.old.version):
            self.cluster.all_done([*made.starts, *made.stops])

    @rule(first=st.booleans())
    def two_operators_decide_on_one_world(self, first: bool) -> None:
        seen = self.cluster.snapshot()
        one, other = decide(seen.world), decide(seen.world)
        assert one == other
        taken = [self.cluster.stored(made, seen.version) for made in (one, other)]
        acts: list[Start | Stop] = [*one.starts, *one.stops]
        twice = sum(taken)
        self.cluster.all_done(acts * twice if first else [act for act in acts for _ in range(twice)])

    # Fate.

    @precondition(unclean)
    @rule(number=numbers, index=numbers)
    def a_pod_runs(self, number: int, index: int) -> None:
        job = self.job(number)
        if job.pods:
            self.cluster.run(job, index % len(job.pods))

    @precondition(unclean)
    @rule(number=numbers)
    def all_pods_run_and_end_well(self, number: int) -> None:
        job = self.job(number)
        for index in range(len(job.pods)):
            self.cluster.run(job, index)
            self.cluster.end(job, index, 0, "Completed")

    @rule()
    def strangers_come_or_go(self) -> None:
        self.cluster.disturbed = not self.cluster.disturbed

    @precondition(unclean)
    @rule(number=numbers, index=numbers, code=st.sampled_from((0, *CODES)), oom=st.booleans())
    def a_pod_ends(self, number: int, index: int, code: int, oom: bool) -> None:
        job = self.job(number)
        if job.pods:
            self.cluster.end(job, index % len(job.pods), code, "OOMKilled" if oom and code else "Error")

    @precondition(unclean)
    @rule(number=numbers, index=numbers, why=st.sampled_from(("Evicted", "PreemptionByScheduler")))
    def a_pod_is_disrupted(self, number: int, index: int, why: str) -> None:
        self.changed(number, index, disruption=why)

    @precondition(unclean)
    @rule(number=numbers, index=numbers)
    def a_pod_is_replaced(self, number: int, index: int) -> None:
        job = self.job(number)
        if job.pods and job.uid is not None:
            self.cluster.replace_pod(job, index % len(job.pods))

    @precondition(unclean)
    @rule(number=numbers, index=numbers, why=st.sampled_from(WAITING))
    def a_container_waits(self, number: int, index: int, why: str) -> None:
        self.changed(number, index, waiting_reason=why, waiting_message="said", scheduled_at=self.cluster.now)

    @precondition(unclean)
    @rule(number=numbers, index=numbers)
    def a_pod_finds_no_node(self, number: int, index: int) -> None:
        self.changed(number, index, unschedulable="0/3 nodes are available")

    def changed(self, number: int, index: int, **changes: object) -> None:
        """A pod that has not run yet, or any that is disrupted, with other facts."""
        job = self.job(number)
        if job.pods:
            pod = job.pods[index % len(job.pods)]
            if "disruption" in changes or (pod.started_at is None and pod.exit is None):
                job.pods[index % len(job.pods)] = replace(pod, **changes)  # type: ignore[arg-type]
                job.touched = True

    @precondition(unclean)
    @rule(number=numbers, quota=st.booleans())
    def a_pod_is_refused(self, number: int, quota: bool) -> None:
        job = self.job(number)
        if job.pods and job.uid is not None and all(pod.started_at is None for pod in job.pods):
            job.pods.pop()
            said = "exceeded quota: gpus" if quota else "forbidden: violates PodSecurity restricted"
            job.complaints.append(Complaint(job.start.name, "FailedCreatePod", said))
            job.touched = True

    @precondition(jobs_exist)
    @rule(number=numbers)
    def the_kubelet_lets_go(self, number: int) -> None:
        self.cluster.let_go(self.job(number))

    @rule(seconds=st.sampled_from((1, 5, 20, 300, 3_600, 90_000)))
    def time_passes(self, seconds: int) -> None:
        self.cluster.now += timedelta(seconds=seconds)

    # People.

    @precondition(jobs_exist)
    @rule(number=numbers)
    def somebody_deletes_a_job(self, number: int) -> None:
        job = self.job(number)
        if job.uid is not None:
            job.touched = True
            self.cluster.delete(job)

    @rule()
    def somebody_toggles_suspend(self) -> None:
        self.respecified(suspend=not self.cluster.spec.suspend)

    @precondition(lambda self: not self.cluster.spec.cancel)
    @rule(sure=st.integers(0, 5))
    def somebody_cancels(self, sure: int) -> None:
        if sure == 0:
            self.respecified(cancel=True)

    def respecified(self, **changes: bool) -> None:
        self.cluster.spec = self.cluster.spec.model_copy(update=changes)
        self.cluster.generation += 1
        self.cluster.version += 1

    @invariant()
    def what_always_holds(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.check()

    def teardown(self) -> None:
        """Trouble is over: the Benchmark ends, frees every device, and is silent from then on."""
        if not hasattr(self, "cluster"):
            return
        if self.cluster.spec.suspend:
            self.respecified(suspend=False)
        for _ in range(PASSES):
            made = self.cluster.reconciled()
            if made.look_again is None:
                break
            self.cluster.carried_on()
        rows = self.cluster.status.trials
        assert rows
        assert all(row.phase in TERMINAL for row in rows)
        assert all(row.job is None or row.released_at is not None for row in rows)
        assert not any(job.state().holds_devices for job in self.cluster.jobs.values())
        version = self.cluster.version
        self.cluster.now += timedelta(days=30)
        assert self.cluster.reconciled().look_again is None
        assert self.cluster.version == version, "finished means silent"


TestInterleaving = Interleaving.TestCase
