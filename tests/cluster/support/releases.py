"""Changes a release with Helm as a user does, while Trials are held."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster.support.breaking import GO
from cluster.support.broken_run import HELD
from cluster.support.object_history import Watch
from cluster.support.user import CHART, OPERATOR_NAMESPACE, RELEASE, install_operator, read, split_reference
from harness.cluster import Cluster
from harness.polling import until

Pod = dict[str, Any]
HELM_TIMEOUT = "2m"
TEST_TIMEOUT = "5m"
"""The timeout of `helm test`, which may run a Benchmark."""

HELD_SECONDS = 300
"""The longest time until a Trial holds, on a busy machine."""

LABEL = "app.kubernetes.io/instance"
OF_A_RELEASE = "deployments,replicasets,pods,services,configmaps,serviceaccounts,roles,rolebindings"
OF_THE_CLUSTER = "clusterroles,clusterrolebindings"


@dataclass(frozen=True)
class Release:
    """A release of the chart in its own namespace, with the chart's defaults except for the images."""

    cluster: Cluster
    name: str = RELEASE
    namespace: str = OPERATOR_NAMESPACE

    def install(self, trainer: str, *more: str) -> None:
        """Installs the release with this trainer image as the default."""
        self._helm("install", CHART, "--wait", "--timeout", HELM_TIMEOUT, *more, values=self._values(trainer))

    def upgrade(self, trainer: str, *more: str) -> None:
        """Upgrades the release to another default image; returns at once unless `more` has --wait."""
        self._helm("upgrade", CHART, "--timeout", HELM_TIMEOUT, *more, values=self._values(trainer))

    def test(self) -> str:
        """The output of `helm test`; raises HarnessError if the test fails."""
        return self.cluster.helm("test", self.name, "--namespace", self.namespace, "--timeout", TEST_TIMEOUT)

    def roll_back(self, revision: int) -> None:
        self._helm("rollback", str(revision), "--wait", "--timeout", HELM_TIMEOUT)

    def uninstall(self) -> None:
        """Uninstalls the release, which must succeed during training; returns once no operator is left."""
        self._helm("uninstall", "--wait", "--timeout", HELM_TIMEOUT)
        until(lambda: not self.operators(), 60, "the operator to be gone")

    def operators(self) -> list[Pod]:
        """The pods of the release's operator."""
        pods: list[Pod] = read(self.cluster, self.namespace, "pods", "-l", f"{LABEL}={self.name}")["items"]
        return pods

    def remains(self) -> list[str]:
        """Names of the release's remaining objects; the CRD, which Helm keeps on purpose, is not among them."""
        selector = ("-l", f"{LABEL}={self.name}", "-o", "name")
        within = self.cluster.kubectl("get", OF_A_RELEASE, "-n", self.namespace, *selector)
        return (within + self.cluster.kubectl("get", OF_THE_CLUSTER, *selector)).split()

    def _values(self, trainer: str) -> dict[str, Any]:
        return {
            "image": split_reference(self.cluster.images.operator),
            "trainer": {"image": split_reference(trainer)},
        }

    def _helm(self, act: str, *arguments: str | Any, values: dict[str, Any] | None = None) -> None:
        given = ("--values", "-") if values else ()
        command = (act, self.name, *arguments, "--namespace", self.namespace, *given)
        self.cluster.helm(*command, input=json.dumps(values) if values else None)


@contextlib.contextmanager
def without_session_operator(cluster: Cluster) -> Iterator[None]:
    """Removes the session's release for the block, and reinstalls it afterwards for the other tests."""
    Release(cluster).uninstall()
    try:
        yield
    finally:
        for left in json.loads(cluster.helm("list", "--all-namespaces", "--output", "json")):
            Release(cluster, left["name"], left["namespace"]).uninstall()
        install_operator(cluster)


def wait_until_held(cluster: Cluster, pods: Watch, benchmark: str, trial: int) -> Pod:
    """Waits until a Trial's first Attempt holds before its first step; returns its pod."""
    ending = f"-{trial}-1-master-0"

    def found() -> Pod | None:
        for event in pods.events():
            pod: Pod = event["object"]
            name, scratch = pod["metadata"]["name"], cluster.node.folder_of(pod["metadata"]["uid"], "scratch")
            if name.startswith(f"{benchmark}-") and name.endswith(ending) and (scratch / HELD).exists():
                return current(cluster, pod)
        return None

    return until(found, HELD_SECONDS, f"Trial {trial} of {benchmark} to hold")


def resume_trial(cluster: Cluster, pod: Pod) -> None:
    """Lets the Trial of this pod continue."""
    (cluster.node.folder_of(pod["metadata"]["uid"], "scratch") / GO).touch()


def current(cluster: Cluster, pod: Pod) -> Pod:
    """The pod's current state, read by its name."""
    return read(cluster, pod["metadata"]["namespace"], "pod", pod["metadata"]["name"])
