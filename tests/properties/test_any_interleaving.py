"""Tests that each Trial counts once and every Benchmark ends, in any order of events."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from properties.depth import INTERLEAVINGS
from properties.simulation import Cluster, Job, Reading
from sdbench.api.spec import Retention
from sdbench.core.decide import decide
from sdbench.core.snapshot import Bounds, Decision, PodExit, WarningEvent
from sdbench.core.trial.row import TERMINAL
from unit.core.worlds import spec

CODES = (1, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 135, 137, 143)
WAITING = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ContainerCreating")
DISRUPTIONS = (
    "Evicted",
    "EvictionByEvictionAPI",
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "DeletionByPodGC",
    "NodeLost",
)
TIMES = (1, 5, 20, 300, 3_600, 90_000)
PASSES = 600
"""More passes than the largest Benchmark here needs for all of its Attempts."""

numbers = st.integers(min_value=0, max_value=7)


class Interleaving(RuleBasedStateMachine):
    """People, chance and operators take turns; then the faults end, and the Benchmark must end."""

    @initialize(
        parallelism=st.integers(1, 3),
        repeats=st.tuples(st.integers(1, 3), st.integers(0, 3), st.sampled_from(("0.000001", "0.01", "1"))),
        retries=st.integers(0, 2),
        sweep=st.sampled_from((None, {"deviceMicrobatchSize": [1, 2]})),
        limits=st.fixed_dictionaries(
            {"maxDevices": st.sampled_from((2, 3, 9)), "queuedSeconds": st.sampled_from((400, 86_400))},
            optional={"deviceHours": st.sampled_from(("0.01", "0.5", "3"))},
        ),
        bounds=st.builds(
            Bounds,
            max_devices=st.sampled_from((None, 4)),
            device_hours=st.sampled_from((None, Decimal("0.2"))),
            concurrent_trials=st.sampled_from((None, 2)),
        ),
        ends=st.fixed_dictionaries(
            {"retention": st.sampled_from(({"failedSeconds": 0}, {"failedSeconds": 60}, {}))},
            optional={"ttlSecondsAfterFinished": st.sampled_from((0, 3_600))},
        ),
    )
    def asked(
        self,
        parallelism: int,
        repeats: tuple[int, int, str],
        retries: int,
        sweep: dict[str, Any] | None,
        limits: dict[str, Any],
        bounds: Bounds,
        ends: dict[str, Any],
    ) -> None:
        least, more, spread = repeats
        many = {"min": least, "max": least + more, "targetCoefficientOfVariation": spread}
        how = {"parallelism": parallelism, "repeats": many, "retries": retries, "sweep": sweep}
        self.cluster = Cluster(spec(**how, **ends, limits=limits), bounds)
        self.old: Reading | None = None
        self.put_off: tuple[Decision, int] | None = None
        """A Decision that was stored, with its version, and is not carried out yet."""

    def job(self, number: int) -> Job:
        return list(self.cluster.jobs.values())[number % len(self.cluster.jobs)]

    def jobs_exist(self) -> bool:
        return bool(self.cluster.jobs)

    def unclean(self) -> bool:
        return any(job.pods for job in self.cluster.jobs.values())

    # Operators.

    @rule()
    def an_operator_passes(self) -> None:
        self.cluster.reconciled()
        self.cluster.check_kept()

    @rule(acts=st.integers(0, 4))
    def an_operator_dies_in_a_pass(self, acts: int) -> None:
        self.cluster.reconciled(crash_after=acts)

    @rule()
    def somebody_reads_the_world(self) -> None:
        self.old = self.cluster.read()

    @precondition(lambda self: self.old is not None)
    @rule()
    def a_slow_operator_decides_on_what_it_read(self) -> None:
        assert self.old is not None
        made = decide(self.old.snapshot)
        if self.cluster.stored(made, self.old):
            self.cluster.carried_out(made)

    @rule(first=st.booleans())
    def two_operators_decide_on_one_world(self, first: bool) -> None:
        seen = self.cluster.read()
        one, other = decide(seen.snapshot), decide(seen.snapshot)
        assert one == other
        twice = sum([self.cluster.stored(made, seen) for made in (one, other)])
        for _ in range(twice if first else 1):
            self.cluster.carried_out(one, times=1 if first else twice)

    @rule()
    def an_operator_stores_its_decision_and_is_frozen(self) -> None:
        seen = self.cluster.read()
        made = decide(seen.snapshot)
        if self.cluster.stored(made, seen):
            self.put_off = made, self.cluster.version

    @precondition(lambda self: self.put_off is not None)
    @rule()
    def a_frozen_operator_goes_on(self) -> None:
        assert self.put_off is not None
        (made, version), self.put_off = self.put_off, None
        self.cluster.carried_out(made, stored_as=version)

    @rule(passes=st.integers(1, 4))
    def all_goes_well_for_a_while(self, passes: int) -> None:
        for _ in range(passes):
            self.cluster.reconciled()
            self.cluster.carried_on()

    # Chance.

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
    def other_processes_come_or_go(self) -> None:
        self.cluster.disturbed = not self.cluster.disturbed

    @precondition(unclean)
    @rule(number=numbers, index=numbers, code=st.sampled_from((0, *CODES)), oom=st.booleans())
    def a_pod_ends(self, number: int, index: int, code: int, oom: bool) -> None:
        job = self.job(number)
        if job.pods:
            self.cluster.end(job, index % len(job.pods), code, "OOMKilled" if oom and code else "Error")

    @precondition(unclean)
    @rule(number=numbers, index=numbers, why=st.sampled_from(DISRUPTIONS))
    def a_pod_is_disrupted(self, number: int, index: int, why: str) -> None:
        self.changed(number, index, disruption=why)

    @precondition(unclean)
    @rule(number=numbers, index=numbers)
    def a_kubelet_loses_a_container(self, number: int, index: int) -> None:
        self.changed(number, index, disruption="", lost=True, exit=PodExit(137, "ContainerStatusUnknown"))

    @precondition(unclean)
    @rule(number=numbers, seconds=st.sampled_from(TIMES))
    def half_a_gang_holds_devices_for_a_while(self, number: int, seconds: int) -> None:
        job = self.job(number)
        if len(job.pods) > 1 and all(pod.scheduled_at is None for pod in job.pods):
            self.changed(number, 0, scheduled_at=self.cluster.now)
            self.changed(number, 1, unschedulable="0/3 nodes are available")
            self.cluster.reconciled()
            self.time_passes(seconds)

    @rule()
    def the_queue_opens_or_closes(self) -> None:
        self.cluster.queued = not self.cluster.queued

    @precondition(jobs_exist)
    @rule(number=numbers)
    def a_queue_takes_a_job_back(self, number: int) -> None:
        self.cluster.suspend(self.job(number))

    @precondition(jobs_exist)
    @rule(number=numbers)
    def a_queue_admits_a_job(self, number: int) -> None:
        self.cluster.admit(self.job(number))

    @rule(many=st.integers(0, 2))
    def trials_of_other_benchmarks_come_and_go(self, many: int) -> None:
        self.cluster.others = many

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
        """Changes the state of a pod that has not run yet, or disrupts any pod."""
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
            why = "exceeded quota: gpus" if quota else 'violates PodSecurity "restricted:latest"'
            said = f'pods "x" is forbidden: {why}'
            job.warnings_about.append(WarningEvent(job.start.name, "FailedCreatePod", said))
            job.touched = True

    @precondition(jobs_exist)
    @rule(number=numbers)
    def the_kubelet_lets_go(self, number: int) -> None:
        self.cluster.let_go(self.job(number))

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds: int) -> None:
        self.cluster.now += timedelta(seconds=seconds)

    @rule()
    def pytorchjobs_are_served_no_more_or_again(self) -> None:
        self.cluster.backend = not self.cluster.backend

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

    @rule(hours=st.sampled_from((None, Decimal("0.001"), Decimal(9))), kept=st.sampled_from((0, 600)))
    def somebody_edits_limits_and_retention(self, hours: Decimal | None, kept: int) -> None:
        limits = self.cluster.spec.limits.model_copy(update={"device_hours": hours})
        self.respecified(limits=limits, retention=Retention(failed_seconds=kept))

    def respecified(self, **changes: object) -> None:
        self.cluster.spec = self.cluster.spec.model_copy(update=changes)
        self.cluster.generation += 1
        self.cluster.version += 1

    @invariant()
    def what_always_holds(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.check()

    def teardown(self) -> None:
        """Ends the faults: the Benchmark ends, frees every device, and then changes nothing more, or deletes itself."""
        if not hasattr(self, "cluster"):
            return
        self.cluster.others, self.cluster.queued, self.cluster.backend = 0, False, True
        if self.cluster.spec.suspend:
            self.respecified(suspend=False)
        for _ in range(PASSES):
            made = self.cluster.reconciled()
            if made.requeue_after is None or self.cluster.delete_self:
                break
            self.cluster.carried_on(made.requeue_after)
        rows = self.cluster.status.trials
        assert rows or not self.cluster.status.resolved
        assert all(row.phase in TERMINAL for row in rows)
        assert all(row.job is None or row.released_at is not None for row in rows)
        assert not any(job.state().holds_devices for job in self.cluster.jobs.values())
        assert self.cluster.delete_self or self.cluster.spec.ttl_seconds_after_finished is None
        version = self.cluster.version
        self.cluster.now += timedelta(days=30)
        assert self.cluster.delete_self or self.cluster.reconciled().requeue_after is None
        assert self.cluster.version == version, "finished means silent"


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = INTERLEAVINGS
