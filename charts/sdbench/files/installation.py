"""Checks an installation; `helm test` runs this in a pod of the operator's image.

The operator must be healthy and allowed to list Benchmarks, and the cluster must serve the APIs that it needs. With
--benchmark a tiny Benchmark is also run to its end, and deleted. Only the standard library is used.
"""

import argparse
import json
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

GROUP = "sdbench.dev/v1alpha1"
PLURAL = "stablediffusionbenchmarks"
LISTED = f'sdbench_operator_api_requests_total{{code="200",resource="{PLURAL}",verb="list"}} '
TINY_SPEC = {
    "devices": {"counts": [1], "perPod": 1, "perDevice": {"cpu": "500m", "memory": "3Gi", "sharedMemory": "256Mi"}},
    "trainer": {
        "model": "tiny",
        "imageSize": 64,
        "globalBatchSize": 8,
        "precision": "fp32",
        "window": {"warmupBatches": 2, "warmupSeconds": 0, "batches": 10},
    },
    # An admission policy may require a limit.
    "limits": {"deviceHours": "0.25"},
}
DIRECT = urllib.request.ProxyHandler({})


class Missing(Exception):
    """Raised while something is missing that may still come; the text says what."""


class Cluster:
    """Sends requests to the API server as the pod's own ServiceAccount."""

    def __init__(self, server: str, account: Path) -> None:
        trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self._opener = urllib.request.build_opener(DIRECT, urllib.request.HTTPSHandler(context=trusted))
        self._server, self._token = server, (account / "token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Sends a request and returns the document of the response."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        url = self._server + path
        request = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 (the chart sets it)
        with self._opener.open(request, timeout=10) as answer:
            return json.load(answer)


def text_of(address: str) -> str:
    """The text that the address serves."""
    with urllib.request.build_opener(DIRECT).open(address, timeout=10) as answer:
        return str(answer.read().decode())


def operator_is_healthy(address: str) -> str:
    """Checks that the operator answers and is healthy. Raises Missing."""
    try:
        health = text_of(f"{address}/healthz").strip()
    except urllib.error.HTTPError as error:
        health = error.read().decode().strip()
    if health != "ok":
        raise Missing(f"the operator is not healthy: {health}")
    return "the operator is healthy"


def benchmarks_are_listed(address: str) -> str:
    """Checks that the operator's rights suffice to list Benchmarks. Raises Missing."""
    if not any(line.startswith(LISTED) for line in text_of(f"{address}/metrics").splitlines()):
        raise Missing("the operator has not listed Benchmarks yet: read its log")
    return "the operator lists Benchmarks"


def kind_is_served(cluster: Cluster, group_version: str, plural: str, advice: str) -> str:
    """Checks that the cluster serves the resource. Raises Missing."""
    try:
        known = [each["name"] for each in cluster.ask("GET", f"/apis/{group_version}")["resources"]]
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        known = []
    if plural not in known:
        raise Missing(f"the cluster does not serve {plural} of {group_version}: {advice}")
    return f"the cluster serves {plural}"


def benchmark_has_a_result(cluster: Cluster, place: str, seconds: float) -> str:
    """Runs a tiny Benchmark to its end, and deletes it in any case."""
    namespace, name = place.split("/")
    collection = f"/apis/{GROUP}/namespaces/{namespace}/{PLURAL}"
    metadata = {"name": name, "namespace": namespace}
    document = {"apiVersion": GROUP, "kind": "StableDiffusionBenchmark", "metadata": metadata, "spec": TINY_SPEC}
    try:
        cluster.ask("POST", collection, document)
    except urllib.error.HTTPError as error:
        if error.code == 409:
            sys.exit(f"FAILED: the Benchmark {place} already exists: delete it, then test again")
        sys.exit(f"FAILED: the API server refused the tiny Benchmark: {message_in(error)}")
    try:
        return within(seconds, lambda: measured(cluster.ask("GET", f"{collection}/{name}")))
    finally:
        cluster.ask("DELETE", f"{collection}/{name}")


def message_in(error: urllib.error.HTTPError) -> str:
    """The message in the API server's response."""
    text = error.read().decode()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return f"{error}: {text}"


def measured(benchmark: dict[str, Any]) -> str:
    """The result of a Benchmark. Raises Missing while there is none; exits if there can be none."""
    status = benchmark.get("status", {})
    found = {(each["type"], each["status"]): each["message"] for each in status.get("conditions", [])}
    for end in (("Failed", "True"), ("Accepted", "False")):
        if end in found:
            sys.exit(f"FAILED: the tiny Benchmark: {found[end]}")
    if ("Complete", "True") not in found:
        raise Missing(f"the tiny Benchmark has no result; its phase is {status.get('phase', 'unknown')}")
    return f"a tiny Benchmark was measured: {json.dumps(status.get('summary'))}"


def within(seconds: float, check: Callable[[], str]) -> str:
    """Waits until a check passes; exits with what is missing after these seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (Missing, OSError) as error:
            if time.monotonic() > end:
                sys.exit(f"FAILED: {error}")
        time.sleep(1)


def arguments() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operator", required=True, help="address of the operator")
    parser.add_argument("--benchmark", metavar="NAMESPACE/NAME", help="also run a tiny Benchmark of this name")
    parser.add_argument("--seconds", type=float, default=900, help="maximum duration of the Benchmark in seconds")
    parser.add_argument("--timeout", type=float, default=60, help="maximum duration of each other check in seconds")
    parser.add_argument("--server", default="https://kubernetes.default.svc")
    parser.add_argument("--account", type=Path, default=Path("/var/run/secrets/kubernetes.io/serviceaccount"))
    return parser.parse_args()


def main() -> None:
    """Runs the checks in order, and exits at the first that fails."""
    # PID 1 ignores SIGTERM unless it has a handler, and the Benchmark must be deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAILED: terminated"))
    given = arguments()
    cluster = Cluster(given.server, given.account)
    training_operator = "install the Kubeflow training-operator 1.9"
    checks: list[Callable[[], str]] = [
        lambda: within(given.timeout, lambda: operator_is_healthy(given.operator)),
        lambda: within(given.timeout, lambda: kind_is_served(cluster, GROUP, PLURAL, "apply the chart's CRD")),
        lambda: within(
            given.timeout, lambda: kind_is_served(cluster, "kubeflow.org/v1", "pytorchjobs", training_operator)
        ),
        lambda: within(given.timeout, lambda: benchmarks_are_listed(given.operator)),
    ]
    if given.benchmark:
        checks.append(lambda: benchmark_has_a_result(cluster, given.benchmark, given.seconds))
    for check in checks:
        sys.stdout.write(f"ok: {check()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
