"""Tests that the operator survives the absence of CRDs, of the training-operator's webhook and of the API server.

On a control plane of its own, which these tests take to pieces.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from harness.ports import free_ports
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player
from testkit.faults.outage import CONVERGED_SECONDS, recovery_after_an_outage
from testkit.faults.silence import IdleOperator
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, apply, condition
from testkit.server.accounts import account
from testkit.server.audit_log import install_crd
from testkit.server.examples import CreateBenchmark, example_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

FOLLOW_SECONDS = 60
OUTAGE_SECONDS = 60
END_SECONDS = 20
ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}
JOBS_CRD = "pytorchjobs.kubeflow.org"
UNKNOWN = 'sdbench_operator_api_requests_total{code="404",resource="pytorchjobs",verb="list"}'


@pytest.fixture(scope="module", autouse=True)
def meanwhile(silence: IdleOperator) -> None:
    """Starts the two minutes of silence that test_idle.py measures, so that they pass meanwhile."""


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane without any CRD."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
def plane(bare_plane: ControlPlane) -> ControlPlane:
    """The same control plane with both CRDs."""
    bare_plane.install_pytorchjob_crd()
    install_crd(bare_plane)
    return bare_plane


@pytest.fixture
def place(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorNamespace]:
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        yield OperatorNamespace(plane, namespace, operator)


def never(_: RunConfig, __: int) -> End | None:
    """A pod that never ends."""
    return None


def without_backend(place: OperatorNamespace, name: str) -> dict[str, Any]:
    """Waits until the Benchmark says that the cluster serves no PyTorchJobs, and returns it."""

    def found() -> dict[str, Any] | None:
        one = place.benchmark(name)
        accepted = condition(one, "Accepted")
        return one if (accepted.get("status"), accepted.get("reason")) == ("False", "BackendUnavailable") else None

    return until(found, FOLLOW_SECONDS, f"{name} to say so; {place.operator.log_tail()}")


def test_conditions_follow_crds_that_are_missing_installed_and_deleted(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    namespace, log = create_namespace(bare_plane), tmp_path / "log"
    with OperatorProcess(account(bare_plane, namespace), namespace, log) as operator:
        place = OperatorNamespace(bare_plane, namespace, operator)
        until(lambda: "knows no StableDiffusionBenchmarks" in log.read_text(), FOLLOW_SECONDS, "the log to say so")
        install_crd(bare_plane)
        ask(place, "first")
        without = without_backend(place, "first")
        assert condition(without, "Stalled")["status"] == "True"
        assert without["status"]["phase"] == "Pending"
        bare_plane.install_pytorchjob_crd()
        with Player(bare_plane.kubeconfig, namespace):
            place.wait_for("CleanedUp", "first")
        assert condition(place.benchmark("first"), "Accepted")["status"] == "True"
        assert_a_running_one_goes_on_after_its_crd_was_away(place)
        assert operator.answer("/healthz")[0] == 200
    assert log.read_text().count("knows no StableDiffusionBenchmarks") == 1
    assert log.read_text().count("knows no PyTorchJobs") <= 3


def ask(place: OperatorNamespace, name: str) -> None:
    document = example_benchmark(name, devices=ONE_DEVICE)
    document["metadata"]["namespace"] = place.namespace
    apply(place.plane, document)


def assert_a_running_one_goes_on_after_its_crd_was_away(place: OperatorNamespace) -> None:
    with Player(place.plane.kubeconfig, place.namespace, never):
        ask(place, "second")
        until(lambda: phase_of(place, "second") == "Running", FOLLOW_SECONDS, "it to run")
        place.plane.kubectl("delete", "crd", JOBS_CRD)
    # The job goes before its CRD does. The operator may have seen that as a job that somebody deleted.
    (row,) = without_backend(place, "second")["status"]["trials"]
    create_benchmark = count(place, UNKNOWN)
    until(lambda: count(place, UNKNOWN) >= create_benchmark + 3, FOLLOW_SECONDS, "some requests for what is not served")
    assert place.benchmark("second")["status"]["trials"] == [row]
    assert condition(place.benchmark("first"), "Complete")["status"] == "True"
    place.plane.install_pytorchjob_crd()
    with Player(place.plane.kubeconfig, place.namespace):
        (row,) = place.wait_for("CleanedUp", "second")["status"]["trials"]
    assert (row["phase"], row["failures"]) == ("Succeeded", 1)


def phase_of(place: OperatorNamespace, name: str) -> str:
    rows = place.benchmark(name).get("status", {}).get("trials", ())
    return str(rows[0]["phase"]) if rows else ""


def dead_webhook(namespace: str) -> list[dict[str, Any]]:
    """A webhook for each PyTorchJob, like the training-operator's, on a port where nothing listens."""
    (port,) = free_ports(1)
    jobs = {"apiGroups": ["kubeflow.org"], "apiVersions": ["v1"], "resources": ["pytorchjobs"]}
    hook = {
        "name": "validator.pytorchjob.training-operator.kubeflow.org",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/validate"},
        "rules": [jobs | {"operations": ["CREATE"]}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return [api | {"metadata": {"name": f"dead-{namespace}"}, "webhooks": [hook]}]


def closed_quota(namespace: str) -> list[dict[str, Any]]:
    """A quota that has no room for a PyTorchJob."""
    named = {"metadata": {"name": "closed", "namespace": namespace}}
    hard = {"hard": {"count/pytorchjobs.kubeflow.org": "0"}}
    return [{"apiVersion": "v1", "kind": "ResourceQuota", **named, "spec": hard}]


@pytest.mark.parametrize(
    ("obstacle", "words", "code"),
    [(dead_webhook, "failed calling webhook", "500"), (closed_quota, "exceeded quota: closed", "403")],
    ids=["a-webhook-that-does-not-answer", "a-quota-without-room"],
)
def test_a_refused_job_is_reported_once_and_retried_until_it_is_accepted(
    place: OperatorNamespace, create_benchmark: CreateBenchmark, obstacle: Any, words: str, code: str
) -> None:
    refused = f'sdbench_operator_api_requests_total{{code="{code}",resource="pytorchjobs",verb="create"}}'
    (document,) = obstacle(place.namespace)
    apply(place.plane, document)
    until(lambda: words in refusal(place), FOLLOW_SECONDS, "the obstacle to work")
    create_benchmark(devices=ONE_DEVICE)
    until(lambda: count(place, refused) >= 3, FOLLOW_SECONDS, "three tries")
    (row,) = place.benchmark()["status"]["trials"]
    assert (row["phase"], row["attempt"], row["failures"]) == ("Starting", 1, 0)
    assert words in row["message"]
    assert place.reasons().count("JobRefused") == 1
    place.plane.kubectl("delete", document["kind"], document["metadata"]["name"], "-n", place.namespace)
    with Player(place.plane.kubeconfig, place.namespace) as player:
        (row,) = place.wait_for("CleanedUp")["status"]["trials"]
    assert (row["phase"], row["attempt"], row["failures"], row["message"]) == ("Succeeded", 1, 0, "")
    assert len(player.jobs) == 1
    assert place.reasons().count("JobRefused") == 1


def refusal(place: OperatorNamespace) -> str:
    """The API server's answer to another client's PyTorchJob."""
    replica = {"template": {"spec": {"containers": [{"name": "pytorch", "image": "x"}]}}}
    named = {"metadata": {"name": "tried", "namespace": place.namespace}}
    job = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", **named}
    try:
        apply(place.plane, job | {"spec": {"pytorchReplicaSpecs": {"Master": replica}}}, "--dry-run=server")
    except Exception as error:
        return str(error)
    return ""


def count(place: OperatorNamespace, series: str) -> float:
    """The value of a series; 0 while it is absent."""
    lines = place.operator.answer("/metrics")[1].splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series)), 0.0)


def test_sigterm_ends_the_operator_in_the_middle_of_unanswered_requests(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark(devices=ONE_DEVICE)
    place.first_job()
    with place.plane.frozen_api_server():
        # A pass follows a second after a start, and is then in the middle of its first request.
        time.sleep(2)
        place.operator.process.send_signal(signal.SIGTERM)
        assert place.operator.process.wait(END_SECONDS) == 0, place.operator.log_tail()


def test_the_operator_recovers_from_an_outage_of_a_minute_within_a_minute(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    assert recovery_after_an_outage(place, create_benchmark, OUTAGE_SECONDS) <= CONVERGED_SECONDS
