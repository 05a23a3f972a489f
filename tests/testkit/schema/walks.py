"""Provides a schema walk's connections, one change per field, and an operator to survive them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from sdbench.api.benchmark import Benchmark
from sdbench.core.plan.grid import plan
from testkit.operators.operator_process import OperatorProcess, account
from testkit.schema.mutations import Place, placed
from testkit.schema.oracles import Consequences
from testkit.schema.samples import samples
from testkit.schema.seeds import FIELDS, WHOLE, Bases, Change, small_seeds
from testkit.server.client import BenchmarkClient
from testkit.server.namespaces import create_namespace

MOST_PODS = 24
"""The limit of pods of all Trials of a changed Benchmark together."""


@pytest.fixture(scope="session")
def client(plane: ControlPlane, dry_run_namespace: str) -> BenchmarkClient:
    """A connection for dry runs."""
    return BenchmarkClient(plane.kubeconfig, dry_run_namespace)


@pytest.fixture(scope="session")
def bases(client: BenchmarkClient) -> Bases:
    return Bases(client)


@pytest.fixture(scope="session")
def consequences(client: BenchmarkClient) -> Consequences:
    return Consequences(client)


@pytest.fixture(scope="module")
def running_operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of an operator of the whole cluster, which must not exit or log a bug until the end."""
    log = tmp_path_factory.mktemp("operator") / "log"
    kubeconfig = account(plane, create_namespace(plane), everywhere=True)
    with OperatorProcess(kubeconfig, None, log) as process:
        yield log
        assert process.answer("/healthz") == (200, "ok\n")
        assert process.process.poll() is None
    warnings_about = [line for line in log.read_text().splitlines() if "a bug in this" in line or "Traceback" in line]
    assert warnings_about == []


@pytest.fixture(scope="session")
def changes(client: BenchmarkClient) -> dict[str, Change]:
    """By place name, a seed whose value at the place is changed to the first one that the API server accepts."""
    stored = [client.create(seed).document for seed in small_seeds()]
    found = {}
    for number, place in enumerate(FIELDS):
        found[place.name] = _change(client, stored, place, f"walk-{number}")
    return found


def _change(client: BenchmarkClient, stored: list[dict[str, Any]], place: Place, name: str) -> Change:
    for value in samples(place.schema):
        for seed, document in enumerate(small_seeds()):
            changed = placed(document, WHOLE, place.path, value)
            changed["metadata"]["name"] = name
            answer = client.create(changed)
            if answer.accepted and answer.document["spec"] != stored[seed]["spec"] and _is_small(answer.document):
                return Change(place, seed, changed)
    raise AssertionError(f"no seed of small_seeds() accepts another value of {place.name}")


def _is_small(document: dict[str, Any]) -> bool:
    return sum(trial.point.pods for trial in plan(Benchmark.model_validate(document).spec)) <= MOST_PODS
