"""Tests that an operator of two namespaces serves the second when it loses the first.

And the first as soon as it returns.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.cluster.scripted_pods import Player
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, apply
from testkit.server.accounts import account, rendered
from testkit.server.examples import example_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

SECONDS = 90
LAST_EVENT = "sdbench_operator_last_watch_event_timestamp_seconds"
ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}


def rights(plane: ControlPlane, namespace: str, account_of: str) -> None:
    """The rights of an operator of another namespace, granted in this one."""
    bound = (one for one in rendered(account_of, everywhere=False) if one["kind"] in ("Role", "RoleBinding"))
    items = [one | {"metadata": one["metadata"] | {"namespace": namespace}} for one in bound]
    plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def unbound(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("delete", "rolebindings", "--all", "-n", namespace)


def deleted(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("delete", "namespace", namespace)


def answered(place: OperatorNamespace, name: str) -> dict[str, Any]:
    """Creates a Benchmark in the namespace and returns its result, which a watch has reported."""
    document, since = example_benchmark(name, devices=ONE_DEVICE), time.time()
    document["metadata"]["namespace"] = place.namespace
    with Player(place.plane.kubeconfig, place.namespace):
        apply(place.plane, document)
        found = place.wait_for("CleanedUp", name)
    assert last_event(place.operator) > since, "no watch has reported it"
    return found


def last_event(operator: OperatorProcess) -> float:
    lines = operator.answer("/metrics")[1].splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(LAST_EVENT))


def wait_for_line(operator: OperatorProcess, log: Path, words: str) -> None:
    until(lambda: words in log.read_text(), SECONDS, f"{words!r}; {operator.log_tail()}")


@pytest.mark.parametrize("lost", [unbound, deleted])
def test_an_operator_that_loses_one_of_its_namespaces_serves_the_others(
    plane: ControlPlane, tmp_path: Path, lost: Callable[[ControlPlane, str], None]
) -> None:
    first, second = create_namespace(plane), create_namespace(plane)
    kubeconfig = account(plane, second)
    rights(plane, first, account_of=second)
    gone, back = f"{first}: nothing may be read there", f"{first}: its Benchmarks may be read again"
    with OperatorProcess(kubeconfig, second, tmp_path / "log", "--namespace", first) as operator:
        answered(OperatorNamespace(plane, first, operator), "before")
        lost(plane, first)
        wait_for_line(operator, tmp_path / "log", gone)
        answered(OperatorNamespace(plane, second, operator), "meanwhile")
        assert (tmp_path / "log").read_text().count(gone) == 1
    with OperatorProcess(kubeconfig, second, tmp_path / "next", "--namespace", first) as operator:
        wait_for_line(operator, tmp_path / "next", gone)
        answered(OperatorNamespace(plane, second, operator), "after-a-restart")
        assert operator.answer("/healthz")[0] == 200
        if lost is deleted:
            apply(plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": first}})
        rights(plane, first, account_of=second)
        wait_for_line(operator, tmp_path / "next", back)
        answered(OperatorNamespace(plane, first, operator), "again")
        answered(OperatorNamespace(plane, second, operator), "at-last")
        assert (tmp_path / "next").read_text().count(gone) == 1
