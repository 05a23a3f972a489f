"""Runs Kubeflow's training-operator as a process under its own ServiceAccount, for clusters without a node.

Its options are those of its Deployment, except the request rate. It is ready once `training_operator.admits` is true.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.addons.training_operator import DEFINITION, INIT_CONTAINER, NAMESPACE, OVERLAY, SEPARATOR
from harness.cache import lock
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
"""The program waits for this file even if its certificate is elsewhere, and has no option to change that."""


@contextlib.contextmanager
def training_operator(run: Run, plane: ControlPlane, init_image: str) -> Iterator[Daemon]:
    """A training-operator that watches PyTorchJobs; it starts only inside `startup_file`."""
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
        # With the default of 20 requests a second, a job's 32 pods and 32 Services take four seconds to create.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    with daemon(run, "training-operator", command) as started:
        yield started


@contextlib.contextmanager
def startup_file() -> Iterator[None]:
    """Provides the file for which it waits when it starts; one start at a time, since all wait for the same file."""
    with lock("training-operator-starts", "another training-operator is starting"), contextlib.ExitStack() as stack:
        if not LOOKED_FOR.exists():
            LOOKED_FOR.parent.mkdir(parents=True, exist_ok=True)
            LOOKED_FOR.touch()
            stack.callback(LOOKED_FOR.unlink)
        yield


def _apply_manifests(plane: ControlPlane, served: ServedHere) -> None:
    """Applies its namespace, account, rights and webhook, but no CRDs: only PyTorchJobs are needed."""
    documents = plane.kubectl("kustomize", module_source(TRAINING_OPERATOR) / OVERLAY).split(SEPARATOR)
    manifests = [yaml.safe_load(each) for each in documents if DEFINITION not in each]
    wanted = [served.fitted(each) for each in manifests if each["kind"] not in (*LEFT_OUT, "Secret")]
    everything = yaml.safe_dump_all([*wanted, served.secret(NAMESPACE, SECRET)])
    plane.kubectl("apply", "--server-side", "-f", "-", input=everything)
