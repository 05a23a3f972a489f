"""Tests that both images start with a read-only root and any uid, and hold only what a run needs."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.support.user import apply, make_namespace, read
from harness.cluster import Cluster
from harness.images.buildah import configuration
from harness.images.catalog import OPERATOR, TRAINER, Image, planned_build
from harness.polling import until
from sbom import bill_of_materials
from sdbench.controller.job.pytorchjob import run_text
from sdbench_trainer.report import report_in
from sdbench_trainer.run import RUN_VARIABLE, RunConfig

NAMESPACE = "images"
ANYBODY, ANY_GROUP = 12345, 0
"""A user that the images do not have, and root's group, which some platforms assign."""
PREFIX = "org.opencontainers.image."
SECONDS = 240
INSPECTION = (Path(__file__).parent / "support" / "image_inspection.py").read_text()
TINY = {
    "model": "tiny",
    "imageSize": 64,
    "globalBatchSize": 4,
    "deviceMicrobatchSize": 4,
    "precision": "fp32",
    "window": {"warmupBatches": 1, "batches": 3},
}


@dataclass(frozen=True)
class Subject:
    """An image, its program, and the modules that must be importable after unneeded files were removed."""

    name: str
    image: Image
    program: str
    modules: tuple[str, ...]


SUBJECTS = (
    Subject(
        "operator", OPERATOR, "sdbench", ("sdbench.controller.operator", "sdbench.report.page", "plotly.graph_objects")
    ),
    Subject(
        "trainer",
        TRAINER,
        "sdbench-trainer",
        (
            *("sdbench_trainer.train", "sdbench_trainer.shards.building", "torch.profiler", "xformers.ops", "triton"),
            *("pyarrow.parquet", "boto3", "google.cloud.storage", "azure.storage.blob", "azure.storage.filedatalake"),
        ),
    ),
)


def container(image: str, **fields: Any) -> dict[str, Any]:
    """A container with a read-only root, and with a user ID that the image does not have."""
    rights = {
        "runAsUser": ANYBODY,
        "runAsGroup": ANY_GROUP,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]
    return {"name": "main", "image": image, "securityContext": rights, "volumeMounts": mounts, **fields}


def ended(cluster: Cluster, name: str, only: dict[str, Any]) -> dict[str, Any]:
    """Runs a pod with this container; returns the container's terminated state."""
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [only],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    metadata = {"name": name, "namespace": NAMESPACE}
    apply(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def state() -> dict[str, Any] | None:
        (status,) = read(cluster, NAMESPACE, "pod", name)["status"].get("containerStatuses") or [{"state": {}}]
        found: dict[str, Any] | None = status["state"].get("terminated")
        return found

    return until(state, SECONDS, f"the pod {name} to end")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> str:
    """A namespace that admits only restricted pods."""
    make_namespace(cluster, NAMESPACE)
    return NAMESPACE


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda subject: subject.name)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


@pytest.fixture(scope="module")
def answers(cluster: Cluster, namespace: str, subject: Subject) -> dict[str, Any]:
    """The output of image_inspection.py inside the image."""
    image = getattr(cluster.images, subject.name)
    command = ["python3", "-c", INSPECTION, subject.program, *subject.modules]
    end = ended(cluster, subject.name, container(image, command=command))
    log = cluster.kubectl("logs", subject.name, "-n", namespace)
    assert end["exitCode"] == 0, log
    found: dict[str, Any] = json.loads(log.splitlines()[-1])
    return found


def test_it_starts_as_any_user_with_a_read_only_root(answers: dict[str, Any], subject: Subject) -> None:
    assert answers["ids"] == [ANYBODY, ANY_GROUP]
    assert answers["user"] == "sdbench"
    assert re.match(rf"usage: {subject.program}", answers["help"].strip(), re.IGNORECASE)
    assert answers["refusals"].pop("/tmp/new") == ""
    assert set(answers["refusals"].values()) == {"Read-only file system"}


def test_every_needed_module_can_be_imported(answers: dict[str, Any]) -> None:
    assert answers["failures"] == {}


def test_there_is_no_installer_compiler_or_way_to_change_the_user(answers: dict[str, Any]) -> None:
    assert (answers["installers"], answers["programs"]) == ([], [])
    assert [fault for fault in answers["faults"] if not fault.startswith("/tmp ")] == []


def test_the_packages_are_those_of_the_bill_of_materials(answers: dict[str, Any], subject: Subject) -> None:
    def normalized(names: dict[str, str]) -> dict[str, str]:
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in names.items()}

    listed = {part["name"]: part["version"] for part in bill_of_materials(subject.name)["components"]}
    assert normalized(answers["packages"]) == normalized(listed)


def test_it_is_labelled_and_its_user_is_a_number(subject: Subject) -> None:
    with planned_build(subject.image) as build:
        generated_config = configuration(build.make())
    assert generated_config["User"] == "65532:65532"
    labels = {name: value for name, value in generated_config["Labels"].items() if name.startswith(PREFIX)}
    assert labels.keys() >= {PREFIX + name for name in ("title", "description", "licenses", "version", "revision")}
    assert all(labels.values())


def test_a_training_runs_as_any_user(cluster: Cluster, namespace: str) -> None:
    run = RunConfig.model_validate({"attempt": "anybody-1", "devices": 1, "trainer": TINY})
    only = container(cluster.images.trainer, env=[{"name": RUN_VARIABLE, "value": run_text(run)}])
    end = ended(cluster, "training", only)
    report = report_in(end.get("message", ""))
    assert end["exitCode"] == 0, cluster.kubectl("logs", "training", "-n", namespace)
    assert report is not None
    assert report.measurement is not None
