"""Acts as a user of a cluster: installs the operator, prepares namespaces and data, and reads results."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from harness.cluster import Cluster
from harness.polling import until
from testkit.server.columns import printed_lines

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "sdbench"
EXAMPLE = ROOT / "crds" / "examples" / "tiny.yaml"
RELEASE = "sdbench"
OPERATOR_NAMESPACE = "sdbench-system"


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    """Applies these objects with `kubectl apply`."""
    cluster.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(value) for value in objects))


def read(cluster: Cluster, namespace: str, *what: str) -> dict[str, Any]:
    """The object or list that `kubectl get` prints."""
    value: dict[str, Any] = json.loads(cluster.kubectl("get", "-n", namespace, *what, "-o", "json"))
    return value


def put_photographs_into_bucket(cluster: Cluster, folder: Path, bucket: str = "sdbench") -> None:
    """Writes real photographs as MDS shards to s3://<bucket>/photographs."""
    photographs = folder / "photographs"
    subprocess.run([sys.executable, ROOT / "tests" / "photographs.py", photographs], check=True)
    shards = cluster.s3.folder / bucket / "photographs"
    build = [sys.executable, "-m", "sdbench_trainer.shards.cli", "shards", "build", photographs, shards]
    subprocess.run([str(part) for part in build], check=True)


def make_storage_service(cluster: Cluster) -> None:
    """Gives the S3 server the address that the example uses: http://s3.storage:9000."""
    endpoint = urlsplit(cluster.s3.endpoint)
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "storage"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "namespace": "storage"},
            "spec": {"ports": [{"name": "http", "port": 9000}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "s3", "namespace": "storage", "labels": {"kubernetes.io/service-name": "s3"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": endpoint.port}],
            "endpoints": [{"addresses": [endpoint.hostname]}],
        },
    )


def make_restricted_namespace(cluster: Cluster, name: str) -> None:
    """Creates a namespace that enforces restricted Pod Security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def make_namespace(cluster: Cluster, name: str) -> None:
    """Creates a namespace that enforces restricted Pod Security, with the Secret that the example names."""
    make_restricted_namespace(cluster, name)
    apply(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s3-credentials", "namespace": name},
            "stringData": {
                "AWS_ACCESS_KEY_ID": cluster.s3.access_key,
                "AWS_SECRET_ACCESS_KEY": cluster.s3.secret_key,
            },
        },
    )


def install_operator(cluster: Cluster) -> None:
    """Installs the operator as a user does: with default values except the images, under restricted Pod Security."""
    make_restricted_namespace(cluster, OPERATOR_NAMESPACE)
    where, wait = ("--namespace", OPERATOR_NAMESPACE), ("--wait", "--timeout", "3m")
    cluster.helm("install", RELEASE, CHART, *where, *wait, "--values", _values(cluster))


def _values(cluster: Cluster) -> Path:
    path = cluster.folder / "values.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "image": split_reference(cluster.images.operator),
                "trainer": {"image": split_reference(cluster.images.trainer)},
            }
        )
    )
    return path


def split_reference(reference: str) -> dict[str, str]:
    """An image reference as the chart's values."""
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def example_benchmark(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """The example with this name and parts of its spec replaced (None removes one); failed jobs are deleted at once."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"] = {"name": name, "namespace": namespace}
    for key, value in ({"retention": {"failedSeconds": 0}} | spec).items():
        if value is None:
            document["spec"].pop(key, None)
        else:
            document["spec"][key] = value
    return document


def condition(benchmark: dict[str, Any], kind: str) -> dict[str, Any]:
    """The Benchmark's condition of this type; empty if it has none."""
    found = [c for c in benchmark.get("status", {}).get("conditions", []) if c["type"] == kind]
    return found[0] if found else {}


def wait_for(cluster: Cluster, namespace: str, name: str, kind: str, seconds: int) -> dict[str, Any]:
    """Waits with `kubectl wait`, as a user would, until the condition `kind` is True; returns the Benchmark."""
    cluster.kubectl("wait", "-n", namespace, f"sdb/{name}", f"--for=condition={kind}", f"--timeout={seconds}s")
    return read(cluster, namespace, "sdb", name)


def line_of(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """The cells of a Benchmark's line of `kubectl get sdb`, by heading."""
    return printed_lines(cluster.kubectl("get", "sdb", name, "-n", namespace))[name]


def pods_holding_devices(cluster: Cluster, namespace: str) -> list[str]:
    """Names of the Benchmarks' pods with a container that is not known to have terminated."""
    pods = read(cluster, namespace, "pods", "-l", "sdbench.dev/benchmark")["items"]
    return [pod["metadata"]["name"] for pod in pods if not terminated(pod)]


def terminated(pod: dict[str, Any]) -> bool:
    """Whether every container of the pod is known to have ended."""
    status = pod["status"]
    containers = status.get("containerStatuses", [])
    if status.get("phase") in ("Succeeded", "Failed"):
        return all("running" not in container["state"] for container in containers)
    return bool(containers) and all("terminated" in container["state"] for container in containers)


def wait_until_gone(cluster: Cluster, namespace: str, what: str, seconds: int) -> None:
    """Waits until no object of this kind is left in the namespace."""
    until(lambda: not read(cluster, namespace, what)["items"], seconds, f"no {what} to be left in {namespace}")
