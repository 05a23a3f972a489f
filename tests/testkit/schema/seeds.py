"""Provides the specs that a schema walk starts from: the examples, and some with rarely used fields."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sdbench.api.crd import schema
from sdbench.api.crd.structural import at as part_of
from testkit.operators.operator_process import ROOT
from testkit.schema.mutations import ABSENT, Place, at, placed, places, written
from testkit.schema.samples import Schema, samples
from testkit.server.client import BenchmarkClient
from testkit.server.examples import example_benchmark

WHOLE: Schema = schema.root_schema()

CALLED = Place(("metadata", "name"), part_of(WHOLE, "metadata.name"))
PLACES = (CALLED, *(place for place in places(part_of(WHOLE, "spec"), ("spec",)) if place.path != ("spec",)))
"""Every place of a Benchmark that a user may write."""

FIELDS = tuple(place for place in PLACES if place.is_leaf and place.is_ours)
"""The places of the spec that hold a value instead of further places."""

MUTABLE = {"limits", "retention", "ttlSecondsAfterFinished", "suspend", "cancel"}
"""The mutable fields, repeated here so that a field that becomes mutable by mistake is found."""

STAGES = [{"images": 1_000, "imageSize": 128, "rateRatio": "0.3"}, {"images": 1_000, "imageSize": 64}]
OWN_SIZE = [{"images": 1_000, "imageSize": 512}]
LIMITED = {"maxDays": "1", "baseline": {"name": "last"}}
SPREAD = {"min": 1, "max": 2, "targetCoefficientOfVariation": "0.02"}
PLACED = {"topologyKey": "rack", "tolerations": [{"key": "rack", "value": "a", "effect": "NoExecute"}]}
GPUS = {"counts": [8, 16], "perPod": 8, "resource": "nvidia.com/gpu", "perDevice": {"memory": "8Gi"}}


def small_seeds() -> Iterator[dict[str, Any]]:
    """Benchmarks that the API server accepts, with few pods, all of which may run at once."""
    yield example_benchmark(parallelism=64)
    yield example_benchmark(parallelism=64, projection={"stages": STAGES}, gate=LIMITED, repeats=SPREAD)
    few = {"globalBatchSize": 64, "model": "tiny"}
    parts: dict[str, Any] = {"projection": {"stages": OWN_SIZE}, "scheduling": PLACED}
    yield example_benchmark(parallelism=64, devices=GPUS, trainer=few, data={"claim": "a"}, **parts)


def seeds() -> Iterator[dict[str, Any]]:
    """The small seeds and the examples."""
    yield from small_seeds()
    for example in sorted((ROOT / "crds/examples").glob("*.yaml")):
        yield yaml.safe_load(example.read_text())


@dataclass(frozen=True)
class Change:
    """A Benchmark with one place changed."""

    place: Place
    seed: int
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])


@dataclass
class Bases:
    """Finds for each place a Benchmark that has a value there and that the API server accepts."""

    client: BenchmarkClient
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, place: Place) -> dict[str, Any]:
        """The smallest seed that has the place; otherwise a seed with a sample there."""
        if place.name not in self.found:
            self.found[place.name] = self._search(place)
        return self.found[place.name]

    def _search(self, place: Place) -> dict[str, Any]:
        message = ""
        for document in self._candidates(place):
            answer = self.client.create(document)
            if answer.accepted:
                return document
            message = answer.message
        raise AssertionError(f"no seed and no sample has {written(place.path)}; the last was refused: {message}")

    def _candidates(self, place: Place) -> Iterator[dict[str, Any]]:
        for seed in seeds():
            if at(seed, place.path) is not ABSENT:
                yield seed
        for seed in seeds():
            for value in samples(place.schema):
                yield placed(seed, WHOLE, place.path, value)
