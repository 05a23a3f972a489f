"""Tests that the LocalQueues are those asked for, in the version that the cluster's Kueue serves."""

from dataclasses import replace
from typing import Any

import pytest

from chart.support.rendering import Helm, of_kind

NEWER = "kueue.x-k8s.io/v1beta2/LocalQueue"
TWO: dict[str, Any] = {
    "kueue": {
        "localQueues": [
            {"name": "benchmarks", "namespace": "team-a", "clusterQueue": "gpus"},
            {"name": "benchmarks", "namespace": "team-b", "clusterQueue": "spot"},
        ]
    }
}


def test_each_queue_is_created_in_its_namespace(helm: Helm) -> None:
    queues = of_kind(helm.render(TWO), "LocalQueue")
    found = [
        {"name": one["metadata"]["name"], "namespace": one["metadata"]["namespace"], **one["spec"]} for one in queues
    ]
    assert found == TWO["kueue"]["localQueues"]


@pytest.mark.parametrize(("more", "version"), [((), "v1beta1"), ((NEWER,), "v1beta2")])
def test_the_queues_have_the_newest_served_version(helm: Helm, more: tuple[str, ...], version: str) -> None:
    queues = of_kind(replace(helm, served=(*helm.served, *more)).render(TWO), "LocalQueue")
    assert {one["apiVersion"] for one in queues} == {f"kueue.x-k8s.io/{version}"}


def test_queues_are_off_by_default(helm: Helm) -> None:
    assert not of_kind(helm.render(), "LocalQueue")
