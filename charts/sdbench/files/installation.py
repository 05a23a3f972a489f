"""Checks an installation: `helm test` runs this in a pod of the operator's image, with the standard library only.

The operator must be well and allowed to list Benchmarks, and the cluster must serve what it needs. With --benchmark a
tiny Benchmark is run to its end as well, and deleted.
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
QUESTION = {
    "devices": {"counts": [1], "perPod": 1, "perDevice": {"cpu": "500m", "memory": "3Gi", "sharedMemory": "256Mi"}},
    "trainer": {
        "model": "tiny",
        "imageSize": 64,
        "globalBatchSize": 8,
        "precision": "fp32",
        "window": {"warmupBatches": 2, "warmupSeconds": 0, "batches": 10},
    },
    # A policy of the namespace may ask for a limit.
    "limits": {"deviceHours": "0.25"},
}
DIRECT = urllib.request.ProxyHandler({})


class Missing(Exception):
    """What is not there, in a sentence; it may come."""


class Cluster:
    """The API server, as the pod's own ServiceAccount."""

    def __init__(self, server: str, account: Path) -> None:
        trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self._opener = urllib.request.build_opener(DIRECT, urllib.request.HTTPSHandler(context=trusted))
        self._server, self._token = server, (account / "token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The document that the API server answers with."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._server + path, content, headers, method=method)  # noqa: S310 (told by us)
        with self._opener.open(asked, timeout=10) as answer:
            return json.load(answer)


def text_of(address: str) -> str:
    """What is said there."""
    with urllib.request.build_opener(DIRECT).open(address, timeout=10) as answer:
        return str(answer.read().decode())


def operator_is_well(address: str) -> str:
    """The operator answers, and has nothing to complain of."""
    try:
        said = text_of(f"{address}/healthz").strip()
    except urllib.error.HTTPError as error:
        said = error.read().decode().strip()
    if said != "ok":
        raise Missing(f"the operator says: {said}")
    return "the operator is well"


def benchmarks_are_listed(address: str) -> str:
    """The operator's rights reach its Benchmarks."""
    if not any(line.startswith(LISTED) for line in text_of(f"{address}/metrics").splitlines()):
        raise Missing("the operator has listed no Benchmarks yet; its log says why")
    return "the operator lists Benchmarks"


def kind_is_served(cluster: Cluster, group_version: str, plural: str, advice: str) -> str:
    """The cluster knows the resource."""
    try:
        known = [each["name"] for each in cluster.ask("GET", f"/apis/{group_version}")["resources"]]
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        known = []
    if plural not in known:
        raise Missing(f"the cluster serves no {plural} of {group_version}: {advice}")
    return f"the cluster serves {plural}"


def benchmark_has_an_answer(cluster: Cluster, place: str, seconds: float) -> str:
    """A tiny Benchmark is asked, and deleted whatever comes of it."""
    namespace, name = place.split("/")
    collection = f"/apis/{GROUP}/namespaces/{namespace}/{PLURAL}"
    metadata = {"name": name, "namespace": namespace}
    asked = {"apiVersion": GROUP, "kind": "StableDiffusionBenchmark", "metadata": metadata, "spec": QUESTION}
    try:
        cluster.ask("POST", collection, asked)
    except urllib.error.HTTPError as error:
        if error.code == 409:
            sys.exit(f"FAILED: the Benchmark {place} exists already: delete it, then test again")
        sys.exit(f"FAILED: the tiny Benchmark is refused: {said_in(error)}")
    try:
        return within(seconds, lambda: measured(cluster.ask("GET", f"{collection}/{name}")))
    finally:
        cluster.ask("DELETE", f"{collection}/{name}")


def said_in(error: urllib.error.HTTPError) -> str:
    """The API server's own sentence."""
    text = error.read().decode()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return f"{error}: {text}"


def measured(benchmark: dict[str, Any]) -> str:
    """What was measured. Raises Missing while there is nothing; when there will be nothing, it is the end."""
    status = benchmark.get("status", {})
    found = {(each["type"], each["status"]): each["message"] for each in status.get("conditions", [])}
    for end in (("Failed", "True"), ("Accepted", "False")):
        if end in found:
            sys.exit(f"FAILED: the tiny Benchmark: {found[end]}")
    if ("Complete", "True") not in found:
        raise Missing(f"the tiny Benchmark has no answer; its phase is {status.get('phase', 'unknown')}")
    return f"a tiny Benchmark was measured: {json.dumps(status.get('summary'))}"


def within(seconds: float, fact: Callable[[], str]) -> str:
    """The fact, once it holds. When it does not in time, what is missing is the end."""
    end = time.monotonic() + seconds
    while True:
        try:
            return fact()
        except (Missing, OSError) as error:
            if time.monotonic() > end:
                sys.exit(f"FAILED: {error}")
        time.sleep(1)


def arguments() -> argparse.Namespace:
    """What the pod is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operator", required=True, help="its address")
    parser.add_argument("--benchmark", metavar="NAMESPACE/NAME", help="run a tiny one of this name")
    parser.add_argument("--seconds", type=float, default=900, help="that it may take")
    parser.add_argument("--patience", type=float, default=60, help="seconds for everything else")
    parser.add_argument("--server", default="https://kubernetes.default.svc")
    parser.add_argument("--account", type=Path, default=Path("/var/run/secrets/kubernetes.io/serviceaccount"))
    return parser.parse_args()


def main() -> None:
    # PID 1 is deaf to signals that it does not ask for, and what was asked is to be deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAILED: ended from outside"))
    told = arguments()
    cluster = Cluster(told.server, told.account)
    training_operator = "install the Kubeflow training-operator 1.9"
    facts: list[Callable[[], str]] = [
        lambda: within(told.patience, lambda: operator_is_well(told.operator)),
        lambda: within(told.patience, lambda: kind_is_served(cluster, GROUP, PLURAL, "apply the chart's CRD")),
        lambda: within(
            told.patience, lambda: kind_is_served(cluster, "kubeflow.org/v1", "pytorchjobs", training_operator)
        ),
        lambda: within(told.patience, lambda: benchmarks_are_listed(told.operator)),
    ]
    if told.benchmark:
        facts.append(lambda: benchmark_has_an_answer(cluster, told.benchmark, told.seconds))
    for fact in facts:
        sys.stdout.write(f"ok: {fact()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
