"""Creates Benchmarks on a simulated cluster, from the A100 example or a copy of it, and reads them."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from harness.control_plane.components import ControlPlane
from harness.failure import HarnessError
from harness.polling import until
from sdbench.api.names import GROUP, PLURAL, VERSION
from testkit.operators.operator_process import ROOT, OperatorProcess, apply, condition, read

EXAMPLE = ROOT / "crds/examples/a100-scaling.yaml"
SECONDS = 400
"""The longest wait: a whole sweep of 18 Trials on a busy machine."""

Row = dict[str, Any]


@dataclass(frozen=True)
class StoredBenchmark:
    """One Benchmark in a namespace in which an operator runs."""

    plane: ControlPlane
    namespace: str
    name: str
    operator: OperatorProcess

    def document(self) -> dict[str, Any]:
        """The Benchmark's current document, read by one persistent client: a kubectl per read is too slow."""
        who = (GROUP, VERSION, self.namespace, PLURAL, self.name)
        found: dict[str, Any] = _objects(self.plane.kubeconfig).get_namespaced_custom_object(*who)
        return found

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.document().get("status", {})
        return status

    def row(self, trial: int) -> Row:
        """The row of a Trial; empty while the Benchmark is not accepted."""
        rows: list[Row] = self.status().get("trials", [])
        return rows[trial] if rows else {}

    def wait_for(self, kind: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Waits until a condition is True; returns the status."""

        def found() -> dict[str, Any] | None:
            document = self.document()
            ended = condition(document, kind).get("status") == "True"
            return document["status"] if ended else None

        return self._awaited(found, seconds, kind)

    def wait_for_row(self, trial: int, what: str, fact: Callable[[Row], object], seconds: float = SECONDS) -> Row:
        """Waits until `fact` is true for a Trial's row; returns the row."""

        def found() -> Row | None:
            row = self.row(trial)
            return row if row and fact(row) else None

        return self._awaited(found, seconds, what)

    def _awaited(self, fact: Callable[[], Row | None], seconds: float, what: str) -> Row:
        """The fact's value; on a timeout, adds the rows, pods and jobs to the error."""
        try:
            return until(fact, seconds, f"{what} of {self.name}")
        except HarnessError as error:
            begun = [row for row in self.status().get("trials", []) if row["attempt"]]
            error.add_note("\n".join(str(row) for row in begun))
            error.add_note(self.plane.kubectl("get", "pods,pytorchjobs", "-n", self.namespace, "-o", "wide"))
            raise

    def names(self, what: str) -> list[str]:
        return [one["metadata"]["name"] for one in read(self.plane, self.namespace, what)["items"]]

    def warnings(self) -> dict[str, str]:
        """The messages of the Benchmark's warning Events, by reason."""
        about = f"type=Warning,involvedObject.kind=StableDiffusionBenchmark,involvedObject.name={self.name}"
        events = read(self.plane, self.namespace, "events", "--field-selector", about)["items"]
        return {one["reason"]: one["message"] for one in events}

    def wait_until_nothing_is_left(self) -> None:
        """Waits until no job and no pod is left: their deletion takes a moment after the devices are free."""
        until(lambda: not self.names("pytorchjobs") and not self.names("pods"), SECONDS, "jobs and pods to go")


@cache
def _objects(kubeconfig: Path) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))


def example(name: str, **spec: Any) -> dict[str, Any]:
    """A copy of the example with this name and parts of its spec replaced (None removes one)."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    replaced = document["spec"] | spec
    document["spec"] = {part: value for part, value in replaced.items() if value is not None}
    return document


def create(plane: ControlPlane, namespace: str, document: dict[str, Any]) -> None:
    """Applies a Benchmark with `kubectl apply`."""
    apply(plane, document, "-n", namespace)


def printed(plane: ControlPlane, *arguments: str) -> str:
    """The output of an `sdbench` command with this cluster's kubeconfig, on a wide terminal."""
    paths = os.pathsep.join(str(ROOT / part / "src") for part in ("operator", "trainer"))
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "PYTHONPATH": paths, "COLUMNS": "200"}
    command = [sys.executable, "-m", "sdbench.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
