"""Checks answers to a changed spec: each oracle returns what is wrong, or nothing.

refusal:  has a message that names the field, and is never a 500
reading:  the operator's types can read what the API server accepts, and the plan accepts it or names the field
pods:     the API server accepts the job that is made of it, and the job's pods
literal:  no user's text becomes a command, or is expanded by the kubelet
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ConditionType, Status
from sdbench.controller.job.pytorchjob import pytorchjob
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Decision, Defaults, PodState, Snapshot
from sdbench_trainer.run import RUN_VARIABLE, RunConfig
from testkit.schema.mutations import ABSENT, Mutation, written
from testkit.server.client import Answer, BenchmarkClient

DEFAULTS = Defaults(image="registry.example/trainer:1", operator_version="1")
RENAMED = "invalid data, expected int, got float64"
"""The API server's message if a rule reads 2.0; it then gives the rule's path instead of the field's."""


def refusal_flaw(mutation: Mutation, answer: Answer) -> str:
    """What is wrong with the refusal of a mutation; empty if nothing."""
    if answer.code not in (400, 422):
        return f"HTTP {answer.code}: {answer.message}"
    if not answer.message:
        return "refused without a message"
    place = mutation.place.name
    if answer.code == 400:
        return (
            "" if place in answer.message or not mutation.place.is_ours else f"the field is not named: {answer.message}"
        )
    if mutation.outside:
        exact = any(path.startswith(place) for path in answer.fields)
        return "" if exact else f"{answer.fields} are blamed: {answer.message}"
    return "" if any(_concerns(cause, mutation) for cause in answer.causes) else f"unnamed: {answer.message}"


def _concerns(cause: dict[str, str], mutation: Mutation) -> bool:
    """Whether a cause names the mutated field, a sibling that it requires, or the parent that lacks it."""
    path, message = cause.get("field", ""), cause["message"]
    names = [part for part in mutation.place.path if isinstance(part, str)]
    if names[-1] in path.split(".") or names[-1] in message or RENAMED in message:
        return True
    beside = path.rpartition(".")[0] == written(mutation.place.path[:-1])
    if beside and cause.get("reason") == "FieldValueRequired":
        return True
    return mutation.value in (None, ABSENT) and path == ".".join(names[:-1]) and len(names) > 1


@dataclass
class Consequences:
    """Checks what follows from accepted Benchmarks; pods that differ only in their configuration are tried once."""

    client: BenchmarkClient
    tried: set[str] = field(default_factory=set)

    def flaw(self, answer: Answer) -> str:
        """What is wrong with an accepted Benchmark; empty if nothing."""
        try:
            benchmark = Benchmark.model_validate(answer.document)
        except ValidationError as error:
            return f"the operator cannot read it: {error}"
        decision = decided(benchmark)
        condition = next(one for one in decision.status.conditions if one.type is ConditionType.ACCEPTED)
        if condition.status != "True":
            return "" if condition.message.startswith(("spec", "status")) else f"refused unnamed: {condition.message}"
        jobs = [pytorchjob(benchmark, start) for start in decision.jobs_to_create]
        return next((flaw for job in jobs for flaw in self._job_flaws(job)), "")

    def _job_flaws(self, job: dict[str, Any]) -> Iterator[str]:
        yield from literal_flaws(job)
        job, shape = copy.deepcopy(job), _shape(job)
        if shape in self.tried:
            return
        self.tried.add(shape)
        job["metadata"].pop("ownerReferences")
        yield from _refused("the job", self.client.create_job(job))
        for replica in job["spec"]["pytorchReplicaSpecs"].values():
            template = replica["template"]
            metadata = template["metadata"] | {"name": "walk"}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            yield from _refused("a pod", self.client.create_pod(pod))


def _refused(what: str, answer: Answer) -> Iterator[str]:
    """A refusal's message. Being forbidden (403) by a policy of the cluster, such as a quota, does not count."""
    if not answer.accepted and answer.code != 403:
        yield f"{what} is refused: {answer.message}"


def _shape(job: dict[str, Any]) -> str:
    """The job's replicas without names and configurations, as JSON."""
    replicas = copy.deepcopy(job["spec"]["pytorchReplicaSpecs"])
    for replica in replicas.values():
        replica["replicas"] = 1
        labels = replica["template"]["metadata"]["labels"]
        for name in ("app.kubernetes.io/instance", "sdbench.dev/benchmark-uid"):
            labels[name] = ""
        forget_run(replica["template"]["spec"]["containers"][0])
    return json.dumps(replicas, sort_keys=True)


def literal_flaws(job: dict[str, Any]) -> Iterator[str]:
    """Messages about commands, arguments and each `$` that the kubelet would expand; a bad configuration raises."""
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        (container,) = replica["template"]["spec"]["containers"]
        if {"command", "args"} & container.keys():
            yield "its container is given a command or arguments"
        for variable in container["env"]:
            if "$" in variable["value"]:
                yield f"the kubelet would expand {variable['name']}"
        run_of(container)


def run_of(container: dict[str, Any]) -> RunConfig:
    """The Attempt's configuration as the trainer reads it."""
    variables = {one["name"]: one.get("value", "") for one in container["env"]}
    return RunConfig.model_validate_json(variables[RUN_VARIABLE])


def forget_run(container: dict[str, Any]) -> None:
    """Removes the Attempt's configuration from the container's environment."""
    container["env"] = [one for one in container["env"] if one["name"] != RUN_VARIABLE]


def decided(benchmark: Benchmark) -> Decision:
    """The operator's first Decision, after checking that it can decide again: with all pods running, and overdue."""
    now = datetime.now(UTC)
    snapshot = Snapshot(benchmark, (), DEFAULTS, now)
    first = decide(snapshot)
    stored = Status.model_validate(first.status.document())
    running = tuple(_running(start.name, start.trial, start.pods, now) for start in first.jobs_to_create)
    for later in (timedelta(seconds=2), timedelta(days=400)):
        seen = benchmark.model_copy(update={"status": stored})
        decide(replace(snapshot, benchmark=seen, attempts=running, now=now + later))
    return first


def _running(name: str, trial: int, pods: int, now: datetime) -> AttemptState:
    states = tuple(PodState(f"{name}-{index}", f"{index}", index, True, now, now, "node") for index in range(pods))
    return AttemptState(name, trial, 1, "job", now, pods, pods=states)
