"""Tests that presets and workloads are pinned at acceptance, and reserved labels rejected."""

from dataclasses import replace
from typing import Any

import pytest

from sdbench.api.spec_scheduling import Preset
from sdbench.api.status import ConditionStatus, ConditionType, Phase
from sdbench.api.workload import Proxy, Workload
from sdbench.core.decide import decide
from sdbench.core.snapshot import Decision, Snapshot
from unit.core.worlds import after, benchmark, snapshot, spec

RDMA = Preset(environment={"NCCL_IB_HCA": "mlx5"}, resources={"rdma/hca": "1"})
GPUS = {"counts": [1], "resource": "rdma/hca"}


def defined(one: Snapshot, presets: dict[str, Preset] | None) -> Snapshot:
    """The Snapshot with these presets from the administrator."""
    return replace(one, defaults=replace(one.defaults, presets=presets))


def asked(presets: dict[str, Preset] | None, **changes: Any) -> Snapshot:
    return defined(snapshot(benchmark(spec(**changes))), presets)


def rejection(decision: Decision) -> str:
    """The reason and the message of a rejection; empty if the Benchmark was accepted."""
    (accepted,) = (c for c in decision.status.conditions if c.type is ConditionType.ACCEPTED)
    return "" if accepted.status is ConditionStatus.TRUE else f"{accepted.reason}: {accepted.message}"


def test_a_preset_is_pinned_at_acceptance() -> None:
    decision = decide(asked({"rdma": RDMA}, scheduling={"preset": "rdma"}))
    assert decision.status.resolved is not None
    assert decision.status.resolved.preset == RDMA


def test_later_changes_of_a_preset_have_no_effect() -> None:
    before = asked({"rdma": RDMA}, scheduling={"preset": "rdma"})
    first = decide(before)
    for later in ({}, {"rdma": Preset()}, None):
        second = decide(defined(after(first, before, seconds=5), later))
        assert rejection(second) == ""
        assert second.status.resolved == first.status.resolved


SITE = Workload(service_account_name="trainer", proxy=Proxy(https="http://proxy:3128"))


def fixed(one: Snapshot, workload: Workload | None) -> Snapshot:
    """The Snapshot with this Workload from the administrator."""
    return replace(one, defaults=replace(one.defaults, workload=workload))


def test_the_workload_is_pinned_at_acceptance() -> None:
    before = fixed(snapshot(benchmark(spec())), SITE)
    first = decide(before)
    assert first.status.resolved is not None
    assert first.status.resolved.workload == SITE
    for later in (Workload(service_account_name="other"), None):
        second = decide(fixed(after(first, before, seconds=5), later))
        assert second.status.resolved == first.status.resolved


def test_a_benchmark_accepted_without_a_workload_gets_none_later() -> None:
    before = snapshot(benchmark(spec()))
    first = decide(before)
    second = decide(fixed(after(first, before, seconds=5), SITE))
    assert first.status.resolved is not None
    assert "workload" not in first.status.resolved.document()
    assert second.status.resolved == first.status.resolved


def test_a_benchmark_that_names_no_preset_gets_none() -> None:
    decision = decide(asked({"rdma": RDMA}))
    assert decision.status.resolved is not None
    assert decision.status.resolved.preset is None


def test_the_name_of_a_preset_is_ignored_without_an_administrator() -> None:
    assert rejection(decide(asked(None, scheduling={"preset": "rdma"}))) == ""


REJECTED = [
    (
        {"scheduling": {"preset": "fast"}},
        "PlanRefused: spec.scheduling.preset: no preset fast; there are: plain, rdma",
    ),
    (
        {"scheduling": {"preset": "rdma"}, "devices": GPUS, "trainer": {"precision": "fp32"}},
        "PlanRefused: spec.scheduling.preset: rdma adds rdma/hca, whose number spec.devices already sets",
    ),
    (
        {"podLabels": {"sdbench.dev/trial": "0"}},
        "PlanRefused: spec.podLabels[sdbench.dev/trial]: the domain of a key is reserved: see docs/scheduling.md",
    ),
    (
        {"podLabels": {"aadpodidbinding": "admin"}},
        "PlanRefused: spec.podLabels[aadpodidbinding]: the domain of a key is reserved",
    ),
    (
        {"podAnnotations": {"sidecar.istio.io/userVolume": "[]"}},
        "PlanRefused: spec.podAnnotations[sidecar.istio.io/userVolume]: the domain of a key is reserved",
    ),
    (
        {"podAnnotations": {"io.kubernetes.cri-o.Devices": "/dev/sda"}},
        "PlanRefused: spec.podAnnotations[io.kubernetes.cri-o.Devices]: the key of an annotation needs a domain",
    ),
]


@pytest.mark.parametrize(("changes", "said"), REJECTED, ids=[said[13:60] for _, said in REJECTED])
def test_an_invalid_preset_or_a_reserved_key_is_rejected_with_this_message(changes: dict[str, Any], said: str) -> None:
    decision = decide(asked({"rdma": RDMA, "plain": Preset()}, **changes))
    assert rejection(decision).startswith(said)
    assert (decision.status.phase, decision.jobs_to_create) == (Phase.FAILED, ())


def test_the_message_says_that_no_preset_is_defined() -> None:
    decision = decide(asked({}, scheduling={"preset": "rdma"}))
    assert rejection(decision).endswith("no preset rdma; the administrator has defined none")


def test_a_benchmark_is_accepted_once_its_preset_is_defined() -> None:
    before = asked({}, scheduling={"preset": "rdma"})
    assert rejection(decide(defined(after(decide(before), before, seconds=60), {"rdma": RDMA}))) == ""
