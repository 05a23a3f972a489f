"""Reads the status and jobs that an operator made, without what differs between equal runs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sdbench.api.names import ATTEMPT_LABEL, BENCHMARK_LABEL, PLURAL, TRIAL_LABEL
from testkit.schema.oracles import forget_run, run_of
from testkit.server.client import BenchmarkClient

Document = dict[str, Any]

TIMES = ("At", "Time", "Checksum", "jobUID", "spent", "observedGeneration", "waitingSince", "notBefore")
"""Prefixes and suffixes of fields whose value is a time, a duration, or a particular object's identity."""


@dataclass(frozen=True)
class Outcome:
    """A Benchmark's status and jobs, masked."""

    status: Document
    jobs: tuple[Document, ...]

    @property
    def condition_reasons(self) -> dict[str, tuple[str, str]]:
        return {one["type"]: (one["status"], one["reason"]) for one in self.status.get("conditions", ())}

    def planned_as(self, other: "Outcome") -> "Outcome":
        """This outcome with the other's plan, which follows the limits even after the end."""
        return Outcome(self.status | {"plan": other.status.get("plan")}, self.jobs)

    def holds(self, kind: str) -> bool:
        """Whether a condition is True."""
        return self.condition_reasons.get(kind, ("", ""))[0] == "True"


def is_observed(benchmark: Document, jobs: Iterable[Document]) -> bool:
    """Whether the operator has observed the latest generation, and every job that the status names exists."""
    status, names = benchmark["status"], {job["metadata"]["name"] for job in jobs}
    if status["observedGeneration"] != benchmark["metadata"]["generation"]:
        return False
    wanted = [row["job"] for row in status.get("trials", ()) if row["phase"] in ("Starting", "Running")]
    return bool(status.get("conditions")) and names >= set(wanted)


def is_finished(benchmark: Document) -> bool:
    """Whether the Benchmark no longer changes: it is cleaned up or suspended."""
    true = {one["type"] for one in benchmark["status"].get("conditions", ()) if one["status"] == "True"}
    return bool(true & {"CleanedUp", "Suspended"})


def outcome(benchmark: Document, jobs: Iterable[Document]) -> Outcome:
    """The Outcome, in which masks replace the Benchmark's name and UID."""
    masks = {benchmark["metadata"]["uid"]: "UID", benchmark["metadata"]["uid"][:5]: "UID"}
    masks |= {benchmark["metadata"]["name"]: "NAME"}
    shapes = sorted((_shape(job) for job in jobs), key=lambda shape: (shape["trial"], shape["attempt"]))
    return Outcome(_masked(_timeless(benchmark["status"]), masks), tuple(_masked(shape, masks) for shape in shapes))


def _shape(job: Document) -> Document:
    """A job's labels, annotations and spec, with the run's configuration decoded."""
    labels, spec = job["metadata"]["labels"], json.loads(json.dumps(job["spec"]))
    runs = {}
    for role, replica in spec["pytorchReplicaSpecs"].items():
        (container,) = replica["template"]["spec"]["containers"]
        runs[role] = run_of(container).document()
        forget_run(container)
    metadata = {key: job["metadata"].get(key, {}) for key in ("labels", "annotations")}
    return {"trial": labels[TRIAL_LABEL], "attempt": labels[ATTEMPT_LABEL], "spec": spec, "runs": runs, **metadata}


def _timeless(part: Any) -> Any:
    if isinstance(part, list):
        return [_timeless(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {name: _timeless(value) for name, value in part.items() if not name.startswith(TIMES) | name.endswith(TIMES)}


def _masked(part: Any, masks: dict[str, str]) -> Any:
    text = json.dumps(part, sort_keys=True)
    for name, mask in masks.items():
        text = text.replace(name, mask)
    return json.loads(text)


def by_benchmark(jobs: Iterable[Document]) -> dict[str, list[Document]]:
    """The jobs of each Benchmark, by its name."""
    found: dict[str, list[Document]] = {}
    for job in jobs:
        found.setdefault(job["metadata"]["labels"][BENCHMARK_LABEL], []).append(job)
    return found


def benchmarks_and_jobs(client: BenchmarkClient) -> tuple[list[Document], dict[str, list[Document]]]:
    """The Benchmarks of a namespace, and the jobs by Benchmark, listed after them."""
    benchmarks = client.listed(PLURAL)
    return benchmarks, by_benchmark(client.listed("pytorchjobs"))
