"""Runs Kueue as a process under its own ServiceAccount, with PyTorchJobs enabled."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.addons.training_operator import DEFINITION, SEPARATOR
from harness.control_plane.components import ControlPlane
from harness.control_plane.webhooks import ServedHere
from harness.daemons import Daemon, daemon
from harness.polling import until
from harness.ports import free_ports
from harness.runs import Run
from harness.tools import KUEUE, binary, module_source

NAMESPACE = "kueue-system"
ACCOUNT = "kueue-controller-manager"
SECRET = "kueue-webhook-server-cert"
NAMES = ("kueue-ca", "kueue-webhook-service.kueue-system.svc")
LEFT_OUT = ("Deployment", "Service", "APIService")
"""Kinds that need a pod; the API server could never reach the APIService."""

VERSION = "kueue.x-k8s.io/v1beta2"
RESOURCES = ("resourceflavors", "clusterqueues", "localqueues", "workloads", "workloadpriorityclasses")


@contextlib.contextmanager
def kueue(run: Run, plane: ControlPlane) -> Iterator[Daemon]:
    """A Kueue that suspends PyTorchJobs with a queue's label, and no others. It is ready once `answers` is true."""
    webhook_port, probe_port = free_ports(2)
    served = ServedHere(run.folder / "kueue", webhook_port, NAMES)
    _apply_manifests(plane, served)
    config = run.folder / "kueue.yaml"
    config.write_text(yaml.safe_dump(_configuration(served, probe_port)))
    account = plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)
    command: list[str | Path] = [binary("kueue"), f"--kubeconfig={account}", f"--config={config}", "--zap-log-level=2"]
    with daemon(run, "kueue", command) as started:
        yield started


def _apply_manifests(plane: ControlPlane, served: ServedHere) -> None:
    documents = plane.kubectl("kustomize", module_source(KUEUE) / "config/default").split(SEPARATOR)
    definitions = [each for each in documents if DEFINITION in each]
    manifests = [yaml.safe_load(each) for each in documents if DEFINITION not in each]
    wanted = [served.fitted(each) for each in manifests if each["kind"] not in (*LEFT_OUT, "Secret")]
    plane.kubectl("apply", "--server-side", "-f", "-", input=SEPARATOR.join(definitions))
    until(lambda: all(plane.serves(VERSION, name) for name in RESOURCES), 60, "the API server to serve Kueue's kinds")
    everything = yaml.safe_dump_all([*wanted, served.secret(NAMESPACE, SECRET)])
    plane.kubectl("apply", "--server-side", "-f", "-", input=everything)


def _configuration(served: ServedHere, probe_port: int) -> dict[str, object]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "manageJobsWithoutQueueName": False,
        "integrations": {"frameworks": ["kubeflow.org/pytorchjob"]},
        "internalCertManagement": {"enable": True},
        "webhook": {"host": "127.0.0.1", "port": served.port, "certDir": str(served.folder)},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{probe_port}"},
        "metrics": {"bindAddress": "0"},
        "leaderElection": {"leaderElect": False},
        "featureGates": {"VisibilityOnDemand": False, "MultiKueue": False},
    }


def answers(plane: ControlPlane) -> bool:
    """Whether Kueue's webhooks admit a flavor."""
    flavor = {"apiVersion": VERSION, "kind": "ResourceFlavor", "metadata": {"name": "answered"}}
    create = ("create", "--dry-run=server", "-o", "name", "-f", "-")
    return bool(plane.kubectl(*create, input=yaml.safe_dump(flavor), check=False))
