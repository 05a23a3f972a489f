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
"""Longest wait: a whole sweep of 18 Trials, on a machine that does other things too."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One Benchmark in a namespace in which an operator runs."""

    plane: ControlPlane
    namespace: str
    name: str
    operator: OperatorProcess

    def document(self) -> dict[str, Any]:
        """As it is now. By a client that stays: a kubectl for each look would take most of the machine."""
        who = (GROUP, VERSION, self.namespace, PLURAL, self.name)
        found: dict[str, Any] = _objects(self.plane.kubeconfig).get_namespaced_custom_object(*who)
        return found

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.document().get("status", {})
        return status

    def row(self, trial: int) -> Row:
        """The row of a Trial; empty while the question is not accepted."""
        rows: list[Row] = self.status().get("trials", [])
        return rows[trial] if rows else {}

    def wait_for(self, kind: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The status once a condition is True."""

        def found() -> dict[str, Any] | None:
            document = self.document()
            ended = condition(document, kind).get("status") == "True"
            return document["status"] if ended else None

        return self._awaited(found, seconds, kind)

    def wait_for_row(self, trial: int, what: str, fact: Callable[[Row], object], seconds: float = SECONDS) -> Row:
        """A Trial's row once something is so of it."""

        def found() -> Row | None:
            row = self.row(trial)
            return row if row and fact(row) else None

        return self._awaited(found, seconds, what)

    def _awaited(self, fact: Callable[[], Row | None], seconds: float, what: str) -> Row:
        """The fact; if it does not come, with what there is in its place."""
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
        """What warning Events say of the Benchmark, by their reasons."""
        about = f"type=Warning,involvedObject.kind=StableDiffusionBenchmark,involvedObject.name={self.name}"
        events = read(self.plane, self.namespace, "events", "--field-selector", about)["items"]
        return {one["reason"]: one["message"] for one in events}

    def wait_until_nothing_is_left(self) -> None:
        """Once its devices are free, what has ended is still being collected for a moment."""
        until(lambda: not self.names("pytorchjobs") and not self.names("pods"), SECONDS, "jobs and pods to go")


@cache
def _objects(kubeconfig: Path) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))


def example(name: str, **spec: Any) -> dict[str, Any]:
    """A copy of the example under another name, with these parts of its spec replaced (None: left out)."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    replaced = document["spec"] | spec
    document["spec"] = {part: value for part, value in replaced.items() if value is not None}
    return document


def ask(plane: ControlPlane, namespace: str, document: dict[str, Any]) -> None:
    """`kubectl apply` of a question."""
    apply(plane, document, "-n", namespace)


def told(plane: ControlPlane, *arguments: str) -> str:
    """What a command of `sdbench` prints to a person with this cluster's kubeconfig, who has a wide terminal."""
    paths = os.pathsep.join(str(ROOT / part / "src") for part in ("operator", "trainer"))
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "PYTHONPATH": paths, "COLUMNS": "200"}
    command = [sys.executable, "-m", "sdbench.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
