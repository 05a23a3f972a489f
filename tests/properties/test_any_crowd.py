"""Tests that several Benchmarks under one cap keep it and all end, whatever happens.

Passes take turns, as the operator's do where the administrator bounds the Trials of all. What a pass knows of the
others is what they have stored.
"""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from properties.depth import CROWDS
from properties.simulation import Cluster
from sdbench.api.benchmark import Benchmark
from sdbench.core.schedule.next_trials import others_running
from sdbench.core.snapshot import Bounds
from sdbench.core.trial.row import TERMINAL, may_hold_devices
from unit.core.worlds import spec

UIDS = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(3))
PASSES = 400

which = st.integers(0, 2)


class Crowd(RuleBasedStateMachine):
    """Three Benchmarks, their jobs, and a cap on the Trials that they run together."""

    @initialize(most=st.integers(1, 3), parallelism=st.integers(1, 3))
    def asked(self, most: int, parallelism: int) -> None:
        wanted = spec(parallelism=parallelism, repeats={"min": 2}, retries=1)
        self.most = most
        self.all = [Cluster(wanted, Bounds(concurrent_trials=most), uid) for uid in UIDS]

    def known(self) -> list[Benchmark]:
        return [one.read().snapshot.benchmark for one in self.all]

    def passed(self, number: int, crash_after: int | None = None) -> timedelta | None:
        """Makes a pass that holds the turn."""
        cluster = self.all[number]
        cluster.others = others_running(cluster.read().snapshot.benchmark, self.known())
        return cluster.reconciled(crash_after).requeue_after

    @rule(number=which)
    def an_operator_passes(self, number: int) -> None:
        self.passed(number)

    @rule(number=which, acts=st.integers(0, 3))
    def an_operator_dies_in_a_pass(self, number: int, acts: int) -> None:
        self.passed(number, acts)

    @rule(number=which, code=st.sampled_from((0, 0, 0, 67, 69, 137)))
    def its_pods_run_and_end(self, number: int, code: int) -> None:
        self.of_each_job(number, lambda cluster, job, index: (cluster.run(job, index), cluster.end(job, index, code)))

    @rule(number=which)
    def its_kubelet_lets_go(self, number: int) -> None:
        for job in list(self.all[number].jobs.values()):
            self.all[number].let_go(job)

    @rule(number=which)
    def somebody_toggles_suspend(self, number: int) -> None:
        self.respecified(number, suspend=not self.all[number].spec.suspend)

    @rule(number=which, sure=st.integers(0, 5))
    def somebody_cancels(self, number: int, sure: int) -> None:
        if sure == 0:
            self.respecified(number, cancel=True)

    @rule(seconds=st.sampled_from((1, 5, 20, 300)))
    def time_passes(self, seconds: int) -> None:
        for cluster in self.all:
            cluster.now += timedelta(seconds=seconds)

    def of_each_job(self, number: int, act: Callable[..., object]) -> None:
        cluster = self.all[number]
        for job in cluster.jobs.values():
            for index in range(len(job.pods)):
                act(cluster, job, index)

    def respecified(self, number: int, **changes: bool) -> None:
        cluster = self.all[number]
        cluster.spec = cluster.spec.model_copy(update=changes)
        cluster.generation += 1
        cluster.version += 1

    @invariant()
    def the_bound_is_kept(self) -> None:
        if hasattr(self, "all"):
            holding = [job for cluster in self.all for job in cluster.jobs.values() if job.holds_devices]
            assert len(holding) <= self.most, "more Trials of all hold devices than the administrator allows"

    def teardown(self) -> None:
        """Ends the faults, after which each Benchmark must end."""
        if not hasattr(self, "all"):
            return
        for number, cluster in enumerate(self.all):
            if cluster.spec.suspend:
                self.respecified(number, suspend=False)
        for _ in range(PASSES):
            waits = [self.passed(number) for number in range(len(self.all))]
            if waits == [None] * len(self.all):
                break
            for cluster in self.all:
                cluster.carried_on()
        for cluster in self.all:
            assert cluster.status.trials
            assert all(row.phase in TERMINAL and not may_hold_devices(row) for row in cluster.status.trials), (
                "one is starved"
            )


TestCrowd = Crowd.TestCase
TestCrowd.settings = CROWDS
