"""Builds the PyTorchJob of an Attempt: the only module that knows its shape.

The operator owns failure: the job neither restarts nor cleans up its pods, and it has no activeDeadlineSeconds, which
the training-operator does not enforce while no event comes from the pods.

Every string of the Benchmark is data: there is no shell and no argument, and the configuration is one JSON value
without `$`, which the kubelet would expand.
"""

import json
import re
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import API_VERSION, ATTEMPT_LABEL, BENCHMARK_LABEL, BENCHMARK_UID_LABEL, KIND, TRIAL_LABEL
from sdbench.api.spec import Data, Devices
from sdbench.api.spec_scheduling import Preset
from sdbench.api.workload import Workload
from sdbench.controller.apiserver.requests import JOB_API_VERSION, JOB_KIND
from sdbench.controller.job import pod_defaults
from sdbench.controller.job.scheduling import Part, gang, placed, queue_labels
from sdbench.core.snapshot import CreateJob
from sdbench_trainer.run import CREDENTIALS_FOLDER, METRICS_PORT, RUN_VARIABLE, SHARDS_FOLDER, START_VARIABLE, RunConfig

CONTAINER = "pytorch"
"""The training-operator looks for a container of this name."""

INSTANCE_LABEL = "app.kubernetes.io/instance"
"""Its value is the Attempt's name, so no other pods have it."""

NOBODY = 65532
GRACE_SECONDS = 10
SCRATCH_LIMIT = "64Gi"
"""The most that a pod may write below /tmp: cached shards and compilers' caches."""

METRICS: Part = {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}
RENDEZVOUS: Part = {"name": "pytorchjob-port", "containerPort": 23456, "protocol": "TCP"}
"""The training-operator looks for a port of this name."""


def pytorchjob(benchmark: Benchmark, create: CreateJob) -> Part:
    """Builds the job of an Attempt."""
    scheduling, labels = benchmark.spec.scheduling, _labels(benchmark, create)
    # Our labels and the administrator's annotations take precedence over the author's.
    annotations = benchmark.spec.pod_annotations | _preset(benchmark).annotations
    metadata: Part = {"labels": benchmark.spec.pod_labels | labels}
    if annotations:
        metadata["annotations"] = annotations
    replicas = {"Master": _replica(1, metadata, _pod(benchmark, create, (METRICS, RENDEZVOUS)))}
    if create.pods > 1:
        # Only rank 0 serves metrics: a port of that name on the others would be a target that is always down.
        replicas["Worker"] = _replica(create.pods - 1, metadata, _pod(benchmark, create, (RENDEZVOUS,)))
    return {
        "apiVersion": JOB_API_VERSION,
        "kind": JOB_KIND,
        "metadata": {
            "name": create.name,
            "namespace": benchmark.metadata.namespace,
            "labels": labels | queue_labels(scheduling),
            "ownerReferences": [_owner(benchmark)],
        },
        "spec": {
            "nprocPerNode": str(create.devices_per_pod),
            "runPolicy": {"cleanPodPolicy": "None", "backoffLimit": 0} | gang(scheduling, create.pods),
            "pytorchReplicaSpecs": replicas,
        },
    }


def run_text(run: RunConfig) -> str:
    """The run's configuration as JSON without `$`, which the kubelet would expand in $(NAME)."""
    return json.dumps(run.document(), separators=(",", ":"), sort_keys=True).replace("$", "\\u0024")


def _preset(benchmark: Benchmark) -> Preset:
    """The administrator's preset as it was pinned at acceptance."""
    resolved = benchmark.status.resolved
    return (resolved.preset if resolved is not None else None) or Preset()


def _workload(benchmark: Benchmark) -> Workload:
    """The administrator's Workload as it was pinned at acceptance."""
    resolved = benchmark.status.resolved
    return (resolved.workload if resolved is not None else None) or Workload()


def _labels(benchmark: Benchmark, create: CreateJob) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "sdbench-trainer",
        INSTANCE_LABEL: create.name,
        "app.kubernetes.io/component": "trainer",
        "app.kubernetes.io/part-of": "sdbench",
        "app.kubernetes.io/managed-by": "sdbench",
        BENCHMARK_LABEL: benchmark.metadata.name,
        BENCHMARK_UID_LABEL: benchmark.metadata.uid,
        TRIAL_LABEL: str(create.trial),
        ATTEMPT_LABEL: str(create.attempt),
    }


def _owner(benchmark: Benchmark) -> Part:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": benchmark.metadata.name,
        "uid": benchmark.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _replica(replicas: int, metadata: Part, pod: Part) -> Part:
    # The restart policy belongs here: for one in the pod's own spec the training-operator posts a warning.
    return {"replicas": replicas, "restartPolicy": "Never", "template": {"metadata": metadata, "spec": pod}}


def _pod(benchmark: Benchmark, create: CreateJob, ports: tuple[Part, ...]) -> Part:
    spec, fixed = benchmark.spec, _workload(benchmark)
    return {
        **pod_defaults.account(fixed),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(benchmark, create, ports)],
        "volumes": [*_volumes(spec.data, spec.devices, create.devices_per_pod), *pod_defaults.volumes(fixed)],
        **placed(spec.scheduling, {INSTANCE_LABEL: create.name}),
        **pod_defaults.pull_secrets(spec.image_pull_secrets, fixed),
    }


def _container(benchmark: Benchmark, create: CreateJob, ports: tuple[Part, ...]) -> Part:
    devices, preset, fixed = benchmark.spec.devices, _preset(benchmark), _workload(benchmark)
    added = preset.environment | pod_defaults.variables(fixed, benchmark.spec.data)
    amounts = _amounts(devices, create.devices_per_pod) | preset.resources
    start_seconds = str(benchmark.spec.limits.start_seconds)
    return {
        "name": CONTAINER,
        "image": create.image,
        "env": [
            {"name": RUN_VARIABLE, "value": run_text(create.run)},
            # How long a running pod waits for others to start, beyond what the ranks take to meet.
            *([{"name": START_VARIABLE, "value": start_seconds}] if create.pods > 1 else []),
            # The home of this user is the root folder, which is read-only.
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 (an emptyDir of the pod's own)
            # Otherwise every rank would start a thread for every core of the node.
            {"name": "OMP_NUM_THREADS", "value": str(whole_cores(devices.per_device.cpu))},
            # The kubelet turns two dollars into one and expands nothing.
            *({"name": name, "value": value.replace("$", "$$")} for name, value in added.items()),
        ],
        "ports": list(ports),
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # PID 1 writes a Report. If it could not, because it was killed or never began, the log's tail takes its place.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*_mounts(benchmark.spec.data), *pod_defaults.mounts(fixed)],
    }


def _amounts(devices: Devices, each_pod: int) -> dict[str, str]:
    """Requests and limits of a pod: those of one device times the number of devices."""
    amounts = {
        "cpu": multiplied(devices.per_device.cpu, each_pod),
        "memory": multiplied(devices.per_device.memory, each_pod),
    }
    return amounts | ({devices.resource: str(each_pod)} if devices.resource else {})


def _volumes(data: Data, devices: Devices, each_pod: int) -> list[Part]:
    shared = multiplied(devices.per_device.shared_memory, each_pod)
    volumes: list[Part] = [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared}},
        {"name": "scratch", "emptyDir": {"sizeLimit": SCRATCH_LIMIT}},
    ]
    if data.credentials_secret:
        # fsGroup makes the group ours. Without the Secret the pod must not start: it would only waste device time.
        secret = {"secretName": data.credentials_secret, "defaultMode": 0o440, "optional": False}
        volumes.append({"name": "credentials", "secret": secret})
    if data.claim:
        volumes.append({"name": "shards", "persistentVolumeClaim": {"claimName": data.claim, "readOnly": True}})
    return volumes


def _mounts(data: Data) -> list[Part]:
    mounts: list[Part] = [
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
    ]
    if data.credentials_secret:
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS_FOLDER, "readOnly": True})
    if data.claim:
        mounts.append({"name": "shards", "mountPath": SHARDS_FOLDER, "readOnly": True})
    return mounts


_QUANTITY = re.compile(r"([0-9.]+)([a-zA-Z]*)")


def multiplied(quantity: str, times: int) -> str:
    """A Kubernetes quantity times a whole number, in its own unit: 500m x 2 is 1000m. Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is not a quantity")
    return f"{(Decimal(found[1]) * times).normalize():f}{found[2]}"


def whole_cores(cpu: str) -> int:
    """The whole cores in a quantity of CPU, at least one."""
    return max(1, int(parse_quantity(cpu)))
