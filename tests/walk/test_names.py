"""Tests that names at their limits fit, and that a user's texts arrive unchanged."""

from dataclasses import dataclass
from typing import Any

import pytest

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import NAME_LIMIT, PLAN_LIMIT, attempt_name
from sdbench.controller.job.pytorchjob import pytorchjob
from testkit.schema.mutations import HOSTILE, Place, placed, written
from testkit.schema.oracles import decided, literal_flaws, run_of
from testkit.schema.samples import KEY
from testkit.schema.seeds import FIELDS, GPUS, WHOLE
from testkit.server.client import BenchmarkClient
from testkit.server.examples import example_benchmark

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

LONGEST = 63
"""The maximum length of a label's value, and of a pod's name, which is also its host name."""

MOST_PODS = 65_536
ATTEMPTS = 99

ARRIVING = {
    ("data", "remote"): ("s3://bucket/{}/shards", "source", "remote"),
    ("data", "endpoint"): ("https://s3.example/{}/x", "source", "endpoint"),
}
"""Free-text field of the spec → a template around the text, and the path where the trainer reads it."""


def test_the_longest_names_of_jobs_and_pods_are_accepted(client: BenchmarkClient) -> None:
    name = "w" * NAME_LIMIT
    stored = client.create(example_benchmark(name, devices=GPUS, trainer={"globalBatchSize": 64}))
    assert stored.accepted
    benchmark = Benchmark.model_validate(stored.document)
    (start, *_) = decided(benchmark).jobs_to_create
    job = pytorchjob(benchmark, start)
    longest = attempt_name(name, benchmark.metadata.uid, PLAN_LIMIT - 1, ATTEMPTS)
    pod = f"{longest}-worker-{MOST_PODS - 2}"
    assert len(pod) <= LONGEST
    job["metadata"] |= {"name": longest}
    job["metadata"].pop("ownerReferences")
    assert client.create_job(job).accepted
    template = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    labels = template["metadata"]["labels"] | {"app.kubernetes.io/instance": longest}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "labels": labels}}
    answer = client.create_pod(made | {"spec": template["spec"] | {"hostname": pod}})
    assert answer.accepted, answer.message
    assert all(len(value) <= LONGEST for value in labels.values())


@dataclass(frozen=True)
class Arrival:
    """A text, and what the trainer received; None if the text was refused."""

    text: str
    arrived: Any


@pytest.mark.parametrize("path", ARRIVING, ids=".".join)
def test_a_text_is_refused_or_arrives_unchanged(client: BenchmarkClient, path: tuple[str, str]) -> None:
    around, *place = ARRIVING[path]
    arrivals = [_arrival(client, path, around.format(hostile), tuple(place)) for hostile in HOSTILE]
    taken = [one for one in arrivals if one.arrived is not None]
    assert [one for one in taken if one.arrived != one.text] == []
    assert {one.text for one in taken} >= {
        around.format(fine) for fine in ("-rm", "写真", "'", '"', "\\", "%s", "`id`")
    }
    refused = {one.text for one in arrivals} - {one.text for one in taken}
    assert refused >= {around.format(bad) for bad in ("$(HOME)", "$HOME", "$$", "\n", "\t", "\x00", "\x1b[31m", " ")}


def _arrival(client: BenchmarkClient, path: tuple[str, str], text: str, place: tuple[str, ...]) -> Arrival:
    answer = client.create(placed(example_benchmark(), WHOLE, ("spec", *path), text))
    if not answer.accepted:
        return Arrival(text, None)
    benchmark = Benchmark.model_validate(answer.document)
    (start, *_) = decided(benchmark).jobs_to_create
    job = pytorchjob(benchmark, start)
    assert list(literal_flaws(job)) == []
    arrived = run_of(job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]).document()
    for name in place:
        arrived = arrived[name]
    return Arrival(text, arrived)


def test_an_annotation_is_refused_or_arrives_unchanged(client: BenchmarkClient) -> None:
    arrivals = [_annotated(client, hostile) for hostile in HOSTILE]
    assert [one for one in arrivals if one.arrived not in (None, one.text)] == []
    assert {one.text for one in arrivals if one.arrived is not None} >= {
        "$(HOME)",
        "$$",
        "-rm",
        "a\nb",
        "写真",
        "\\",
        "'",
    }


def _annotated(client: BenchmarkClient, text: str) -> Arrival:
    answer = client.create(example_benchmark(podAnnotations={KEY: text}))
    if not answer.accepted:
        return Arrival(text, None)
    benchmark = Benchmark.model_validate(answer.document)
    (start, *_) = decided(benchmark).jobs_to_create
    template = pytorchjob(benchmark, start)["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    return Arrival(text, template["metadata"]["annotations"][KEY])


FREE = [place for place in FIELDS if place.schema["type"] == "string" and "enum" not in place.schema]


@pytest.mark.parametrize("place", FREE, ids=lambda place: place.name)
def test_no_field_puts_a_dollar_into_an_environment_variable(client: BenchmarkClient, place: Place) -> None:
    """Most fields refuse it; the others do not use it in a pod's variable."""
    for text in ("$(HOME)", "a$(HOME)", "$HOME"):
        answer = client.create(placed(example_benchmark(), WHOLE, place.path, text))
        if answer.accepted:
            benchmark = Benchmark.model_validate(answer.document)
            jobs = [pytorchjob(benchmark, start) for start in decided(benchmark).jobs_to_create]
            assert [flaw for job in jobs for flaw in literal_flaws(job)] == []
        else:
            assert any(path.startswith(written(place.path)) for path in answer.fields)
