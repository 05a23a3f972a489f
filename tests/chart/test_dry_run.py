"""Tests that a real API server accepts everything that Helm renders, for every way to install it.

The API server has the CRDs of the prometheus-operator and of Kueue, and the namespaces enforce restricted Pod Security.
A warning counts as a refusal. The Deployment's pod is also sent as a pod, because Pod Security only warns about a
Deployment.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chart.support.releases import make_namespaces
from chart.support.rendering import NAMESPACE, Helm, Manifest, of_kind, the
from chart.support.value_sets import VALUE_SETS
from harness.addons.kueue import VERSION as QUEUES
from harness.addons.prometheus_operator import install_definitions
from harness.control_plane.components import ControlPlane
from harness.failure import HarnessError
from harness.polling import until
from harness.tools import KUEUE, module_source

LOCAL_QUEUES = "config/components/crd/bases/kueue.x-k8s.io_localqueues.yaml"
DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-")


@pytest.fixture(scope="module")
def full_plane() -> Iterator[ControlPlane]:
    """A control plane with the CRDs of the other projects."""
    with ControlPlane() as plane:
        make_namespaces(plane)
        install_definitions(plane)
        plane.kubectl("apply", "--server-side", "-f", module_source(KUEUE) / LOCAL_QUEUES)
        until(lambda: plane.serves(QUEUES, "localqueues"), 60, "the API server to serve LocalQueues")
        yield plane


@pytest.fixture
def helm(helm: Helm) -> Helm:
    """Helm with the APIs that `full_plane` serves."""
    return replace(helm, served=(*helm.served, f"{QUEUES}/LocalQueue"))


def dry_run(plane: ControlPlane, objects: tuple[Manifest, ...]) -> None:
    """Sends the objects as a dry run; raises if the API server refuses one or warns."""
    plane.kubectl(*DRY_RUN, input=stream_of(objects))


def stream_of(objects: Iterable[Manifest]) -> str:
    """The objects as one stream of documents."""
    return "\n---\n".join(json.dumps(one) for one in objects)


def pods(plane: ControlPlane, objects: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """The Deployment's pod and that of `helm test`, whose service accounts are created first."""
    accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")} | {"given"}
    made = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
        for name in sorted(accounts)
    ]
    plane.kubectl("apply", "--server-side", "-f", "-", input=stream_of(made))
    template = the(objects, "Deployment")["spec"]["template"]
    metadata = template["metadata"] | {"name": "of-the-deployment", "namespace": NAMESPACE}
    operator = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    return operator, the(objects, "Pod")


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_the_api_server_accepts_the_rendered_objects(
    helm: Helm, full_plane: ControlPlane, values: dict[str, Any]
) -> None:
    objects = helm.render(values)
    dry_run(full_plane, (*objects, *pods(full_plane, objects)))


ODD = ("12345e7", "2024", "null")
"""Namespaces that YAML reads as something else, unless they are quoted."""


def test_names_that_look_like_numbers_stay_strings(helm: Helm, full_plane: ControlPlane) -> None:
    for name in ODD:
        full_plane.kubectl("create", "namespace", name)
    values = VALUE_SETS["all on"] | {
        "nameOverride": "on",
        "serviceAccount": {"name": "123"},
        "watchNamespaces": ODD[1:],
    }
    values |= {"kueue": {"localQueues": [{"name": "1", "namespace": "2024", "clusterQueue": "2"}]}, "policies": {}}
    known = [f"--api-versions={api}" for api in helm.served]
    done = helm.run("template", "my.2024", str(helm.chart), "--namespace", ODD[0], *known, values=values)
    assert done.returncode == 0, done.stderr
    # As rendered, parsed by Kubernetes' own YAML; pods are left out, which need their service accounts.
    full_plane.kubectl(
        *DRY_RUN, input="\n---\n".join(part for part in done.stdout.split("\n---\n") if "kind: Pod\n" not in part)
    )


WRONG = {
    "an unknown field": ("Deployment", lambda one: one["spec"].update(replica=1), "replica"),
    "a pod that may be root": (
        "Pod",
        lambda one: one["spec"]["containers"][0]["securityContext"].clear(),
        "violates PodSecurity",
    ),
    "a wrong monitor": ("ServiceMonitor", lambda one: one["spec"].pop("endpoints"), "spec.endpoints"),
    "a wrong queue": ("LocalQueue", lambda one: one["spec"].update(clusterQueue="A B"), "spec.clusterQueue"),
    "a wrong policy": ("NetworkPolicy", lambda one: one["spec"].update(policyTypes=["In"]), "policyTypes"),
}


@pytest.mark.parametrize(("kind", "invalidate", "said"), WRONG.values(), ids=WRONG)
def test_an_invalid_object_is_refused(
    helm: Helm, full_plane: ControlPlane, kind: str, invalidate: Any, said: str
) -> None:
    objects = helm.render(VALUE_SETS["all on"])
    pods(full_plane, objects)
    invalid = json.loads(json.dumps(of_kind(objects, kind)[0]))
    dry_run(full_plane, (of_kind(objects, kind)[0],))
    invalidate(invalid)
    with pytest.raises(HarnessError, match=said):
        dry_run(full_plane, (invalid,))
