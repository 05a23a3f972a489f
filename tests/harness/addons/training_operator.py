"""Installs Kubeflow's training-operator as a pod, from its own manifests with small changes."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from harness.control_plane.components import ControlPlane
from harness.polling import until
from harness.tools import TRAINING_OPERATOR, module_source

IMAGE = f"sdbench.local/training-operator:{TRAINING_OPERATOR.version}"
PROGRAM = "/manager"
"""The program's path in the image, as the manifest expects it."""

NAMESPACE = "kubeflow"
OVERLAY = "manifests/overlays/standalone"
SEPARATOR = "\n---\n"
DEFINITION = "\nkind: CustomResourceDefinition\n"
TEMPLATE_FOLDER = "/etc/config"

# The operator's own template calls nslookup, whose newer versions fail if any search domain does not know the name.
INIT_CONTAINER = """\
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {cpu: 500m, memory: 64Mi}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  command: ['sh', '-c', 'for i in $(seq 600); do getent hosts {{.MasterAddr}} && exit 0; sleep 0.2; done; exit 1']
"""

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def install_training_operator(plane: ControlPlane, init_image: str) -> None:
    """Applies the standalone overlay; returns once its webhook admits a PyTorchJob."""
    overlay = module_source(TRAINING_OPERATOR) / OVERLAY
    documents = plane.kubectl("kustomize", overlay).split(SEPARATOR)
    # Six of 644 kB each: too large for a client-side apply's annotation, and PyYAML would need 20 s to parse them.
    definitions = [each for each in documents if DEFINITION in each]
    others = [_fitted(yaml.safe_load(each), init_image) for each in documents if DEFINITION not in each]
    plane.kubectl("apply", "--server-side", "-f", "-", input=SEPARATOR.join(definitions))
    plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all([*others, _template()]))
    until(lambda: admits(plane), 120, "the training-operator's webhook to admit a PyTorchJob")


def _fitted(manifest: dict[str, Any], init_image: str) -> dict[str, Any]:
    return _fitted_deployment(manifest, init_image) if manifest["kind"] == "Deployment" else manifest


def _fitted_deployment(deployment: Mapping[str, Any], init_image: str) -> dict[str, Any]:
    """The Deployment with our image, one scheme, the template mounted, and frequent readiness probes."""
    copy: dict[str, Any] = json.loads(json.dumps(deployment))
    pod = copy["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container |= {
        "image": IMAGE,
        "args": ["--enable-scheme=pytorchjob", f"--pytorch-init-container-image={init_image}"],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": RESTRICTED,
        "readinessProbe": container["readinessProbe"] | {"initialDelaySeconds": 1, "periodSeconds": 1},
    }
    container["volumeMounts"] += [{"name": "template", "mountPath": TEMPLATE_FOLDER}]
    pod["volumes"] += [{"name": "template", "configMap": {"name": "init-container"}}]
    return copy


def _template() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "init-container", "namespace": NAMESPACE},
        "data": {"initContainer.yaml": INIT_CONTAINER},
    }


def admits(plane: ControlPlane) -> bool:
    """Whether the webhook admits a PyTorchJob; calls to it time out right after its start."""
    job = yaml.safe_dump(_example())
    return bool(plane.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", input=job, check=False))


def _example() -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "pytorch", "image": "example.invalid/none"}]}}
    master = {"replicas": 1, "restartPolicy": "Never", "template": template}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "admitted", "namespace": "default"},
        "spec": {"pytorchReplicaSpecs": {"Master": master}},
    }
