"""Tests that a user who installs the chart and applies a Benchmark gets its answer, with real components."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chart.support.dashboard import expressions
from cluster.support.object_history import Watch, watched
from cluster.support.user import (
    EXAMPLE,
    OPERATOR_NAMESPACE,
    RELEASE,
    apply,
    condition,
    example_benchmark,
    install_operator,
    line_of,
    pods_holding_devices,
    read,
    wait_for,
    wait_until_gone,
)
from harness.cluster import Cluster
from harness.polling import until

NAMESPACE = "answers"


@dataclass(frozen=True)
class Answer:
    """The finished Benchmark, the jobs and pods that it created, and its start and end."""

    benchmark: dict[str, Any]
    jobs: Watch
    pods: Watch
    began: float
    ended: float


@pytest.fixture(scope="module")
def answer(cluster: Cluster, prepared: None, namespace: str) -> Iterator[Answer]:
    """Does what a user would do: applies the example, waits for Complete and for CleanedUp."""
    with watched(cluster, namespace, "pytorchjobs") as jobs, watched(cluster, namespace, "pods") as pods:
        began = time.time()
        cluster.kubectl("apply", "-n", namespace, "-f", EXAMPLE)
        wait_for(cluster, namespace, "tiny", "Complete", 600)
        benchmark = wait_for(cluster, namespace, "tiny", "CleanedUp", 120)
        yield Answer(benchmark, jobs, pods, began, time.time())


@pytest.fixture(scope="module")
def namespace(make_namespace_once: Any) -> str:
    make_namespace_once(NAMESPACE)
    return NAMESPACE


def test_both_device_counts_are_measured_with_efficiency_days_and_cost(answer: Answer) -> None:
    points = answer.benchmark["status"]["points"]
    assert [point["devices"] for point in points] == [1, 2]
    for point in points:
        rate = float(point["imagesPerSecond"])
        assert rate > 0
        assert float(point["days"]) == pytest.approx(2867200000 / rate / 86400, rel=1e-3)
        assert float(point["cost"]) == pytest.approx(float(point["deviceHours"]) * 2, rel=1e-3)
    assert float(points[0]["scalingEfficiency"]) == 1
    assert float(points[1]["scalingEfficiency"]) > 0


def test_kubectl_get_shows_the_line_of_the_largest_count(cluster: Cluster, answer: Answer) -> None:
    columns = line_of(cluster, NAMESPACE, "tiny")
    assert columns["PHASE"] == "Succeeded"
    assert columns["REASON"] == "", "a Benchmark that succeeded has no reason"
    assert columns["TRIALS"] == "2/2"
    assert columns["DEVICES"] == "2"
    for name in ("IMG/S", "EFF", "DAYS", "COST"):
        assert float(columns[name]) > 0, name


def test_each_trial_had_exactly_one_job_and_a_pod_for_each_device(answer: Answer) -> None:
    assert len(answer.jobs.created()) == 2
    assert sorted(name.rsplit("-", 4)[-2] for name in answer.pods.created().values()) == ["master", "master", "worker"]


def test_the_shards_came_from_the_bucket(answer: Answer) -> None:
    jobs = [event["object"] for event in answer.jobs.events() if event["type"] == "ADDED"]
    for job in jobs:
        container = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
        run = json.loads(next(v["value"] for v in container["env"] if v["name"] == "SDBENCH_RUN"))
        assert run["source"]["remote"] == "s3://sdbench/photographs"


def test_no_credential_is_in_any_object(cluster: Cluster, answer: Answer) -> None:
    texts = json.dumps(answer.benchmark) + answer.jobs.file.read_text() + answer.pods.file.read_text()
    texts += cluster.kubectl("get", "events", "-n", NAMESPACE, "-o", "json")
    texts += cluster.kubectl("logs", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=sdbench", "--tail=-1")
    assert cluster.s3.secret_key not in texts


def test_prometheus_held_the_live_series_of_each_trial(cluster: Cluster, answer: Answer) -> None:
    live = cluster.prometheus.query('last_over_time(sdbench_images_total{benchmark="tiny"}[30m])')
    assert {series["metric"]["trial"] for series in live} == {"0", "1"}
    assert {series["metric"]["namespace"] for series in live} == {NAMESPACE}
    assert all(float(series["value"][1]) > 0 for series in live)


def test_prometheus_holds_the_final_series_from_the_operator(cluster: Cluster, answer: Answer) -> None:
    query = f'sdbench_point_images_per_second{{namespace="{NAMESPACE}",benchmark="tiny"}}'
    final = until(lambda: found if len(found := cluster.prometheus.query(query)) == 2 else None, 30, "the final series")
    shown = {series["metric"]["devices"]: float(series["value"][1]) for series in final}
    stored = {str(p["devices"]): float(p["imagesPerSecond"]) for p in answer.benchmark["status"]["points"]}
    assert shown == pytest.approx(stored)


def test_every_query_of_the_scaling_dashboard_returned_data_during_the_run(cluster: Cluster, answer: Answer) -> None:
    found = expressions({"namespace": NAMESPACE, "benchmark": "tiny"}, "scaling")
    assert found
    empty = [
        f"{title}: {query}"
        for title, query in found
        if not cluster.prometheus.query_range(query, answer.began, time.time(), 1)
    ]
    assert not empty, empty


def test_nothing_holds_a_device_when_it_says_so(cluster: Cluster, answer: Answer) -> None:
    assert condition(answer.benchmark, "CleanedUp")["status"] == "True"
    assert pods_holding_devices(cluster, NAMESPACE) == []
    assert read(cluster, NAMESPACE, "pytorchjobs")["items"] == []


def test_deleting_the_benchmark_removes_everything_with_and_without_the_operator(
    cluster: Cluster, answer: Answer
) -> None:
    cluster.kubectl("delete", "sdb", "tiny", "-n", NAMESPACE, "--cascade=foreground", "--timeout=60s")
    for kind in ("pytorchjobs", "pods", "sdb"):
        wait_until_gone(cluster, NAMESPACE, kind, 60)

    long = example_benchmark("left-behind", NAMESPACE, data=None)
    long["spec"]["trainer"]["window"] = {"warmupBatches": 5, "batches": 100000}
    apply(cluster, long)
    until(lambda: bool(pods_holding_devices(cluster, NAMESPACE)), 120, "the pods of left-behind")
    cluster.helm("uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait")
    try:
        cluster.kubectl("delete", "sdb", "left-behind", "-n", NAMESPACE, "--cascade=foreground", "--timeout=120s")
        for kind in ("pytorchjobs", "pods", "sdb"):
            wait_until_gone(cluster, NAMESPACE, kind, 60)
    finally:
        install_operator(cluster)
