"""Collects what a user sees of a Benchmark: its status, jobs, pods, Events and series."""

from dataclasses import dataclass
from typing import Any

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.operator_process import OperatorProcess, condition, read

SECONDS = 60


@dataclass(frozen=True)
class OperatorNamespace:
    """A namespace in which an operator runs."""

    plane: ControlPlane
    namespace: str
    operator: OperatorProcess

    def benchmark(self, name: str = "tiny") -> dict[str, Any]:
        return read(self.plane, self.namespace, "sdb", name)

    def wait_for(self, kind: str, name: str = "tiny") -> dict[str, Any]:
        """Waits until a condition is True; returns the Benchmark."""

        def found() -> dict[str, Any] | None:
            one = self.benchmark(name)
            return one if condition(one, kind).get("status") == "True" else None

        return until(found, SECONDS, f"{kind} of {name}")

    def names(self, what: str) -> list[str]:
        return [one["metadata"]["name"] for one in read(self.plane, self.namespace, what)["items"]]

    def first_job(self) -> str:
        """Waits for the only job; returns its name."""
        (name,) = until(lambda: self.names("pytorchjobs") or None, SECONDS, "a job")
        return name

    def reasons(self) -> list[str]:
        """Reasons of the Benchmarks' Events, in order of time."""
        events = read(self.plane, self.namespace, "events")["items"]
        ours = [one for one in events if one["involvedObject"]["kind"] == "StableDiffusionBenchmark"]
        return [one["reason"] for one in sorted(ours, key=lambda one: str(one["lastTimestamp"]))]
