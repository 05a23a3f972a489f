"""Tests that presets are pinned at acceptance, and which labels are refused."""

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
    """The World with these presets of its administrator."""
    return replace(one, defaults=replace(one.defaults, presets=presets))


def asked(presets: dict[str, Preset] | None, **changes: Any) -> Snapshot:
    return defined(snapshot(benchmark(spec(**changes))), presets)


def refusal(decision: Decision) -> str:
    """Why it was not accepted; empty when it was."""
    (accepted,) = (c for c in decision.status.conditions if c.type is ConditionType.ACCEPTED)
    return "" if accepted.status is ConditionStatus.TRUE else f"{accepted.reason}: {accepted.message}"


def test_a_preset_is_pinned_when_the_question_is_accepted() -> None:
    decision = decide(asked({"rdma": RDMA}, scheduling={"preset": "rdma"}))
    assert decision.status.resolved is not None
    assert decision.status.resolved.preset == RDMA


def test_what_becomes_of_a_preset_later_changes_nothing() -> None:
    before = asked({"rdma": RDMA}, scheduling={"preset": "rdma"})
    first = decide(before)
    for later in ({}, {"rdma": Preset()}, None):
        second = decide(defined(after(first, before, seconds=5), later))
        assert refusal(second) == ""
        assert second.status.resolved == first.status.resolved


SITE = Workload(service_account_name="trainer", proxy=Proxy(https="http://proxy:3128"))


def fixed(one: Snapshot, workload: Workload | None) -> Snapshot:
    """The World with this Workload of its administrator."""
    return replace(one, defaults=replace(one.defaults, workload=workload))


def test_the_pods_workload_is_pinned_when_the_question_is_accepted_and_stays() -> None:
    before = fixed(snapshot(benchmark(spec())), SITE)
    first = decide(before)
    assert first.status.resolved is not None
    assert first.status.resolved.workload == SITE
    for later in (Workload(service_account_name="other"), None):
        second = decide(fixed(after(first, before, seconds=5), later))
        assert second.status.resolved == first.status.resolved


def test_what_was_accepted_without_a_workload_gets_none_later() -> None:
    before = snapshot(benchmark(spec()))
    first = decide(before)
    second = decide(fixed(after(first, before, seconds=5), SITE))
    assert first.status.resolved is not None
    assert "workload" not in first.status.resolved.document()
    assert second.status.resolved == first.status.resolved


def test_without_a_name_no_preset_is_taken() -> None:
    decision = decide(asked({"rdma": RDMA}))
    assert decision.status.resolved is not None
    assert decision.status.resolved.preset is None


def test_where_there_is_no_administrator_the_name_has_no_meaning() -> None:
    assert refusal(decide(asked(None, scheduling={"preset": "rdma"}))) == ""


REFUSED = [
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
        "PlanRefused: spec.podLabels: sdbench.dev/trial is reserved: see docs/scheduling.md",
    ),
    ({"podLabels": {"aadpodidbinding": "admin"}}, "PlanRefused: spec.podLabels: aadpodidbinding is reserved"),
    (
        {"podAnnotations": {"sidecar.istio.io/userVolume": "[]"}},
        "PlanRefused: spec.podAnnotations: sidecar.istio.io/userVolume is reserved",
    ),
    (
        {"podAnnotations": {"io.kubernetes.cri-o.Devices": "/dev/sda"}},
        "PlanRefused: spec.podAnnotations: io.kubernetes.cri-o.Devices needs a domain",
    ),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=[said[13:60] for _, said in REFUSED])
def test_a_question_that_may_not_be_asked_is_refused_with_a_sentence(changes: dict[str, Any], said: str) -> None:
    decision = decide(asked({"rdma": RDMA, "plain": Preset()}, **changes))
    assert refusal(decision).startswith(said)
    assert (decision.status.phase, decision.jobs_to_create) == (Phase.FAILED, ())


def test_where_no_preset_is_defined_that_is_said() -> None:
    decision = decide(asked({}, scheduling={"preset": "rdma"}))
    assert refusal(decision).endswith("no preset rdma; the administrator has defined none")


def test_once_the_administrator_defines_it_the_question_is_accepted() -> None:
    before = asked({}, scheduling={"preset": "rdma"})
    assert refusal(decide(defined(after(decide(before), before, seconds=60), {"rdma": RDMA}))) == ""
