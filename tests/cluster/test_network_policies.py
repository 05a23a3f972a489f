"""Tests that the chart's NetworkPolicies allow what a run needs and nothing else, with a real engine.

Every connection is tried twice. Without the policies all succeed, so one that fails later fails because of them. Then a
Benchmark runs under them, with two pods that communicate and shards from an object store.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from cluster.support.broken_run import LIMITS, TRAINER, few_devices
from cluster.support.probes import LISTENING, Place, Probe, machine_reaches, started
from cluster.support.user import CHART, OPERATOR_NAMESPACE, RELEASE, apply, example_benchmark, read, wait_for
from harness.cluster import Cluster
from harness.node import addresses
from harness.node.kube_router import kube_router
from harness.polling import until

NAMESPACE, OTHER = "fenced", "beyond"
TRAINING = {"sdbench.dev/benchmark": "probe"}
METRICS, RENDEZVOUS = LISTENING

ROWS = (
    ("a rank", "another rank", "rendezvous", True),
    ("a rank", "another rank", "metrics", True),
    ("a rank", "the object store", "its port", True),
    ("a rank", "names", "its port", True),
    ("a rank", "the API server", "its port", False),
    ("a rank", "another pod", "rendezvous", False),
    ("a rank", "the operator", "its port", False),
    ("another pod", "another rank", "rendezvous", False),
    ("another pod", "another rank", "metrics", False),
    ("another pod", "the operator", "its port", False),
    ("another pod", "the API server", "its port", True),
    ("a rank of another namespace", "another rank", "rendezvous", False),
    ("a rank of another namespace", "another rank", "metrics", False),
    ("Prometheus", "another rank", "metrics", True),
    ("Prometheus", "another rank", "rendezvous", False),
    ("Prometheus", "the operator", "its port", True),
    ("the operator", "the API server", "its port", True),
    ("the operator", "names", "its port", True),
    ("the operator", "the object store", "its port", False),
    ("the operator", "another rank", "rendezvous", False),
)
"""Source, destination, port, and whether the policies allow the connection."""

Answers = dict[tuple[str, str, str], bool]


@dataclass(frozen=True)
class PolicyResults:
    """The connections that succeeded without and with the policies, and a Benchmark that ran under them."""

    before: Answers
    after: Answers
    benchmark: dict[str, Any]


@pytest.fixture(scope="module")
def results(cluster: Cluster, prepared: None, make_namespace_once: Callable[[str], None]) -> Iterator[PolicyResults]:
    """Tries all connections without and with the policies, and runs a Benchmark under them."""
    for name in (NAMESPACE, OTHER):
        make_namespace_once(name)
    release = (RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait")
    with kube_router(cluster.run, cluster.plane, cluster.containers):
        sources = _sources(cluster)
        places = _places(cluster, sources)
        before = _answers(sources, places)
        values = json.dumps({"networkPolicy": _policies(cluster)})
        cluster.helm("upgrade", *release, CHART, "--reset-then-reuse-values", "--values", "-", input=values)
        other_pod, rank = sources["another pod"], places["another rank", "metrics"]
        until(lambda: other_pod.reaches(rank) == [False], 30, "the policies to hold")
        after = _answers(sources, places)
        spec = {"devices": few_devices(2), "trainer": TRAINER, "limits": LIMITS, "projection": None}
        apply(cluster, example_benchmark("inside", NAMESPACE, **spec))
        yield PolicyResults(before, after, wait_for(cluster, NAMESPACE, "inside", "Complete", 300))
        cluster.helm("rollback", *release)


@pytest.mark.parametrize(("who", "whom", "port", "let_through"), ROWS, ids=lambda value: str(value))
def test_the_policies_allow_exactly_the_needed_connections(
    results: PolicyResults, who: str, whom: str, port: str, let_through: bool
) -> None:
    assert results.before[who, whom, port], "the connection fails even without the policies"
    assert results.after[who, whom, port] == let_through


def test_a_benchmark_runs_under_the_policies(results: PolicyResults) -> None:
    (point,) = results.benchmark["status"]["points"]
    assert point["devices"] == 2
    assert float(point["imagesPerSecond"]) > 0


def test_prometheus_scraped_the_benchmarks_master(cluster: Cluster, results: PolicyResults) -> None:
    assert cluster.prometheus.series(f'sdbench_images_total{{namespace="{NAMESPACE}", benchmark="inside"}}')


def _sources(cluster: Cluster) -> dict[str, Probe]:
    """The sources that are pods, by name; Prometheus runs on this machine."""
    selector = ("pods", "-l", f"app.kubernetes.io/instance={RELEASE}")
    (operator,) = read(cluster, OPERATOR_NAMESPACE, *selector)["items"]
    return {
        "a rank": started(cluster, NAMESPACE, "rank-a", TRAINING),
        "another rank": started(cluster, NAMESPACE, "rank-b", TRAINING),
        "another pod": started(cluster, NAMESPACE, "other-pod", {}),
        "a rank of another namespace": started(cluster, OTHER, "rank-c", TRAINING),
        "the operator": Probe(cluster, OPERATOR_NAMESPACE, operator["metadata"]["name"]),
    }


def _places(cluster: Cluster, probes: dict[str, Probe]) -> dict[tuple[str, str], Place]:
    """(Destination, port) → address. The object store and the API server are reached by their Services."""
    rank, other_pod = probes["another rank"].address, probes["another pod"].address
    return {
        ("another rank", "rendezvous"): (rank, RENDEZVOUS),
        ("another rank", "metrics"): (rank, METRICS),
        ("another pod", "rendezvous"): (other_pod, RENDEZVOUS),
        ("the operator", "its port"): (probes["the operator"].address, 8080),
        ("the object store", "its port"): ("s3.storage", 9000),
        ("the API server", "its port"): ("kubernetes.default", 443),
        ("names", "its port"): (addresses.NODE, 53),
    }


def _answers(sources: dict[str, Probe], places: dict[tuple[str, str], Place]) -> Answers:
    """Whether each row's connection succeeds."""
    found: Answers = {}
    for who in dict.fromkeys(row[0] for row in ROWS):
        destinations = [(whom, port) for row_who, whom, port, _ in ROWS if row_who == who]
        reaches = sources[who].reaches if who in sources else machine_reaches
        reached = reaches(*(places[each] for each in destinations))
        found |= {(who, *each): one for each, one in zip(destinations, reached, strict=True)}
    return found


def _policies(cluster: Cluster) -> dict[str, Any]:
    """The chart's values for this cluster: its Prometheus, DNS, API server and object store."""
    machine, node = ([{"ipBlock": {"cidr": f"{each}/32"}}] for each in (addresses.MACHINE, addresses.NODE))
    return {
        "enabled": True,
        "namespaces": [NAMESPACE],
        "metricsFrom": machine,
        "dns": {"to": node, "ports": [53]},
        "apiServer": {"to": machine, "ports": [urlsplit(cluster.server).port]},
        "objectStore": {"to": machine, "ports": [urlsplit(cluster.s3.endpoint).port]},
    }
