"""Tests that the operator, with exactly the chart's RBAC rules, measures a Benchmark and cleans up."""

import json
import time
from collections.abc import Iterator

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import IMAGE, OperatorProcess, account, apply, condition, read
from testkit.server.columns import printed_lines
from testkit.server.examples import CreateBenchmark, example_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]


@pytest.fixture(scope="module")
def operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of the whole cluster."""
    kubeconfig = account(plane, create_namespace(plane), everywhere=True)
    with OperatorProcess(kubeconfig, None, tmp_path_factory.mktemp("operator") / "log") as operator:
        yield operator
        assert "a bug in this version" not in operator.log_tail()


@pytest.fixture
def place(plane: ControlPlane, namespace: str, operator: OperatorProcess) -> OperatorNamespace:
    return OperatorNamespace(plane, namespace, operator)


def test_a_question_is_answered_and_everything_is_cleaned_up(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    with Player(place.plane.kubeconfig, place.namespace) as player:
        create_benchmark()
        place.wait_for("Complete")
        answer = place.wait_for("CleanedUp")
        until(lambda: not place.names("pytorchjobs") and not place.names("pods"), SECONDS, "jobs and pods to go")
    status = answer["status"]
    assert status["phase"] == "Succeeded"
    assert status["observedGeneration"] == answer["metadata"]["generation"]
    assert status["resolved"]["image"] == IMAGE
    assert [row["phase"] for row in status["trials"]] == ["Succeeded", "Succeeded"]
    assert [row["attempt"] for row in status["trials"]] == [1, 1]
    assert [(row["devices"], float(row["imagesPerSecond"])) for row in status["points"]] == [(1, 10.0), (2, 18.0)]
    assert [float(row["scalingEfficiency"]) for row in status["points"]] == [1.0, 0.9]
    assert (len(player.jobs), len(player.pods)) == (2, 3)
    assert condition(answer, "Reconciling") == {} or condition(answer, "Reconciling")["status"] == "False"
    line = printed_lines(place.plane.kubectl("get", "sdb", "tiny", "-n", place.namespace))["tiny"]
    assert (line["PHASE"], line["REASON"], line["TRIALS"], line["DEVICES"]) == ("Succeeded", "", "2/2", "2")
    assert float(line["IMG/S"]) == 18.0
    assert {"Accepted", "AttemptStarted", "Measured", "Complete", "CleanedUp"} <= set(place.reasons())
    assert_nothing_blocks_a_deletion(place)
    assert_the_series_end_with_the_benchmark(place)


def assert_nothing_blocks_a_deletion(place: OperatorNamespace) -> None:
    """Asserts that no object has a finalizer, or an annotation other than kubectl's."""
    metadata = place.benchmark()["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}


def assert_the_series_end_with_the_benchmark(place: OperatorNamespace) -> None:
    who = f'benchmark="tiny",devices="2",namespace="{place.namespace}",point="devices=2"'
    served = place.operator.answer("/metrics")[1]
    assert f"sdbench_point_images_per_second{{{who}}} 18.0" in served
    assert f"sdbench_point_scaling_efficiency_ratio{{{who}}} 0.9" in served
    place.plane.kubectl("delete", "sdb", "tiny", "-n", place.namespace)
    until(lambda: who not in place.operator.answer("/metrics")[1], SECONDS, "the series to go")


def test_repeats_that_are_not_needed_are_skipped_and_the_scaling_fit_is_stored(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    devices = example_benchmark()["spec"]["devices"] | {"counts": [1, 2, 4]}
    with Player(place.plane.kubeconfig, place.namespace) as player:
        create_benchmark(devices=devices, repeats={"min": 2, "max": 4, "targetCoefficientOfVariation": "0.02"})
        place.wait_for("Complete")
        status = place.wait_for("CleanedUp")["status"]
    assert [row["phase"] for row in status["trials"]] == ["Succeeded"] * 6 + ["Skipped"] * 6
    assert {row["reason"] for row in status["trials"][6:]} == {"Converged"}
    assert len(player.jobs) == 6
    assert [(row["repeats"], row["medianCoefficientOfVariation"]) for row in status["points"]] == [(2, "0")] * 3
    (fit,) = status["scalingFits"]
    assert fit["counts"] == [1, 2, 4]
    assert float(fit["secondsPerImage"]) > 0
    assert "Converged" in place.reasons()
    line = printed_lines(place.plane.kubectl("get", "sdb", "tiny", "-n", place.namespace))["tiny"]
    assert (line["PHASE"], line["TRIALS"], line["DEVICES"]) == ("Succeeded", "12/12", "4")


def test_a_job_is_deleted_with_its_benchmark(place: OperatorNamespace, create_benchmark: CreateBenchmark) -> None:
    create_benchmark()
    name = place.first_job()
    job, benchmark = read(place.plane, place.namespace, "pytorchjob", name), place.benchmark()
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (benchmark["metadata"]["uid"], True)
    place.plane.kubectl("delete", "sdb", "tiny", "-n", place.namespace)
    until(lambda: not place.names("pytorchjobs"), SECONDS, "the job to be collected")


def test_a_job_of_another_owner_is_left_alone(place: OperatorNamespace, create_benchmark: CreateBenchmark) -> None:
    create_benchmark(suspend=True)
    until(lambda: place.benchmark()["status"]["observedGeneration"] == 1, SECONDS, "the first pass")
    uid = place.benchmark()["metadata"]["uid"]
    name = f"tiny-{uid[:5]}-0-1"
    replica = {"replicas": 1, "template": {"spec": {"containers": [{"name": "pytorch", "image": "x"}]}}}
    foreign = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}}
    document = foreign | {"spec": {"pytorchReplicaSpecs": {"Master": replica}}}
    apply(place.plane, document, "-n", place.namespace)
    before = read(place.plane, place.namespace, "pytorchjob", name)
    place.plane.kubectl(
        *("patch", "sdb", "tiny", "-n", place.namespace, "--type=merge", "-p", json.dumps({"spec": {"suspend": False}}))
    )
    until(lambda: "NameConflict" in place.reasons(), SECONDS, "the conflict to be reported")
    until(lambda: f"tiny-{uid[:5]}-0-2" in place.names("pytorchjobs"), SECONDS, "another attempt")
    after = read(place.plane, place.namespace, "pytorchjob", name)
    assert after["metadata"] == before["metadata"]


def test_a_suspended_question_costs_nothing_and_is_resumed(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark(suspend=True, devices=example_benchmark()["spec"]["devices"] | {"counts": [1]})
    found = place.wait_for("Suspended")
    assert found["status"]["phase"] == "Suspended"
    assert found["status"]["plan"]["trials"] == 1
    assert place.names("pytorchjobs") == []
    with Player(place.plane.kubeconfig, place.namespace):
        resume = ("patch", "sdb", "tiny", "-n", place.namespace, "--type=merge", "-p", '{"spec": {"suspend": false}}')
        place.plane.kubectl(*resume)
        place.wait_for("Complete")


def test_a_refusal_of_pods_is_reported_in_the_clusters_words(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    apply(place.plane, quota, "-n", place.namespace)
    create_benchmark(devices=example_benchmark()["spec"]["devices"] | {"counts": [1]})
    name = place.first_job()
    job = read(place.plane, place.namespace, "pytorchjob", name)
    about = {"kind": "PyTorchJob", "apiVersion": "kubeflow.org/v1", "name": name, "uid": job["metadata"]["uid"]}
    warning = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "refused", "namespace": place.namespace},
        "involvedObject": about | {"namespace": place.namespace},
        "type": "Warning",
        "reason": "FailedCreatePod",
        "message": 'pods "x" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0',
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    apply(place.plane, warning)
    failed = place.wait_for("Failed")
    (row,) = failed["status"]["trials"]
    assert (row["phase"], row["reason"]) == ("Failed", "PodsForbidden")
    assert "exceeded quota: none" in row["message"]
    until(lambda: not place.names("pytorchjobs"), SECONDS, "the job to go")


def test_the_root_cause_ends_the_run_with_its_reason(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    def out_of_memory_on_two(run: RunConfig, index: int) -> End | None:
        if run.devices == 1:
            return measured(run, index)
        return End(67, "out of memory", "Error") if index == 1 else None

    with Player(place.plane.kubeconfig, place.namespace, out_of_memory_on_two):
        create_benchmark()
        done = place.wait_for("CleanedUp")
    assert done["status"]["phase"] == "Succeeded"
    assert condition(done, "Complete")["reason"] == "PartlyMeasured"
    last = done["status"]["trials"][1]
    assert (last["phase"], last["reason"]) == ("Failed", "OutOfMemoryDevice")
    assert place.names("pods") == []


def test_the_operator_reports_that_it_is_healthy(place: OperatorNamespace) -> None:
    assert place.operator.answer("/healthz") == (200, "ok\n")
    assert 'sdbench_build_info{component="operator"' in place.operator.answer("/metrics")[1]
