"""Runs Kubeflow's training-operator as a process under its own ServiceAccount, for clusters without a node.

Its options are those of its Deployment but for requests a second. It is ready once training_operator.admits() says so.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.addons.training_operator import DEFINITION, INIT_CONTAINER, NAMESPACE, OVERLAY, SEPARATOR
from harness.cache import held
from harness.control_plane.components import ControlPlane
from harness.control_plane.webhooks import ServedHere
from harness.daemons import Daemon, daemon
from harness.ports import free_ports
from harness.runs import Run
from harness.tools import TRAINING_OPERATOR, binary, module_source

ACCOUNT = "training-operator"
SECRET = "training-operator-webhook-cert"
NAMES = ("training-operator-ca", "training-operator.kubeflow.svc")
LEFT_OUT = ("Deployment", "Service")

LOOKED_FOR = Path("/tmp/k8s-webhook-server/serving-certs/tls.crt")
"""The program waits for this file, whatever the folder from which it takes its certificate: it has no option for it."""


@contextlib.contextmanager
def training_operator(run: Run, plane: ControlPlane, init_image: str) -> Iterator[Daemon]:
    """A training-operator that watches PyTorchJobs; it starts while `what_it_looks_for` is there."""
    plane.install_pytorchjob_crd()
    webhook_port, probe_port = free_ports(2)
    temporary = run.folder / "training-operator"
    served = ServedHere(temporary / "k8s-webhook-server" / "serving-certs", webhook_port, NAMES)
    _apply_manifests(plane, served)
    template = temporary / "initContainer.yaml"
    template.write_text(INIT_CONTAINER)
    command: list[str | Path] = [
        "env",
        f"TMPDIR={temporary}",
        binary("training-operator"),
        f"--kubeconfig={plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)}",
        "--enable-scheme=pytorchjob",
        f"--pytorch-init-container-image={init_image}",
        f"--pytorch-init-container-template-file={template}",
        f"--webhook-server-port={webhook_port}",
        f"--health-probe-bind-address=127.0.0.1:{probe_port}",
        "--metrics-bind-address=0",
        # With the usual 20 requests a second a job of 32 pods and as many Services takes four seconds to be made.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    with daemon(run, "training-operator", command) as started:
        yield started


@contextlib.contextmanager
def what_it_looks_for() -> Iterator[None]:
    """The file that it looks for when it starts; one start at a time, since all look for the same."""
    with held("training-operator-starts", "another training-operator is starting"), contextlib.ExitStack() as stack:
        if not LOOKED_FOR.exists():
            LOOKED_FOR.parent.mkdir(parents=True, exist_ok=True)
            LOOKED_FOR.touch()
            stack.callback(LOOKED_FOR.unlink)
        yield


def _apply_manifests(plane: ControlPlane, served: ServedHere) -> None:
    """Its namespace, account, rights and webhook; of the definitions only PyTorchJobs are needed."""
    documents = plane.kubectl("kustomize", module_source(TRAINING_OPERATOR) / OVERLAY).split(SEPARATOR)
    manifests = [yaml.safe_load(each) for each in documents if DEFINITION not in each]
    wanted = [served.fitted(each) for each in manifests if each["kind"] not in (*LEFT_OUT, "Secret")]
    everything = yaml.safe_dump_all([*wanted, served.secret(NAMESPACE, SECRET)])
    plane.kubectl("apply", "--server-side", "-f", "-", input=everything)
