"""Derives the ranks of this pod, and each rank's variables, from the PyTorchJob's variables.

Only PET_* and MASTER_* are read: the job's RANK and WORLD_SIZE count pods, not ranks.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sdbench_trainer.run import RUN_VARIABLE, SCRATCH_VARIABLE, START_VARIABLE, DataSource, RunConfig

CREDENTIAL_VALUES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GCS_KEY",
    "GCS_SECRET",
    "AZURE_ACCOUNT_NAME",
    "AZURE_ACCOUNT_ACCESS_KEY",
    "HF_TOKEN",
)
"""Keys of a Secret whose contents become variables of the same name."""

CREDENTIAL_PATHS = {
    "credentials": "AWS_SHARED_CREDENTIALS_FILE",
    "config": "AWS_CONFIG_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""Keys of a Secret whose paths become variables."""


class LaunchRefused(Exception):
    """The run cannot be done as asked; the text is a sentence that names the field."""


@dataclass(frozen=True)
class Topology:
    """The pods of a run, and which one this is."""

    nodes: int
    node_rank: int
    per_node: int
    master: str
    port: int
    start_seconds: int = 0
    """For how long other pods may still be started: their images are pulled, their volumes mounted."""

    @property
    def first_rank(self) -> int:
        """Global rank of this pod's first process."""
        return self.node_rank * self.per_node


def run_in(environment: Mapping[str, str]) -> RunConfig:
    """What this pod is told to run. Raises Refused with every wrong field's path."""
    if RUN_VARIABLE not in environment:
        raise LaunchRefused(f"{RUN_VARIABLE} is not set: it holds the run's configuration as JSON.")
    try:
        run = RunConfig.model_validate_json(environment[RUN_VARIABLE])
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, fault['loc'])) or RUN_VARIABLE}: {fault['msg']}" for fault in error.errors())
        raise LaunchRefused("The configuration is refused. " + "; ".join(wrong)) from error
    return run


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit():
        raise LaunchRefused(f"{name}: {text!r} is not a number; set nprocPerNode of the job to the devices of a pod.")
    return int(text)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def topology_in(environment: Mapping[str, str], devices: int) -> Topology:
    """The pods and their meeting point; on one node that is this machine. Raises Refused."""
    nodes = _number(environment, "PET_NNODES", 1)
    per_node = _number(environment, "PET_NPROC_PER_NODE", max(1, devices // max(1, nodes)))
    node_rank = _number(environment, "PET_NODE_RANK", 0)
    if nodes * per_node != devices or not 0 <= node_rank < nodes:
        raise LaunchRefused(f"devices: {nodes} pods of {per_node} (this is number {node_rank}) do not make {devices}.")
    port = _number(environment, "PET_MASTER_PORT", _number(environment, "MASTER_PORT", 0))
    if nodes == 1:
        return Topology(1, 0, per_node, "127.0.0.1", port or free_port())
    master = environment.get("PET_MASTER_ADDR") or environment.get("MASTER_ADDR")
    if not master or not port:
        raise LaunchRefused("PET_MASTER_ADDR and PET_MASTER_PORT are not set: the pods would not find each other.")
    return Topology(nodes, node_rank, per_node, master, port, _number(environment, START_VARIABLE, 0))


def credential_variables(folder: Path) -> dict[str, str]:
    """The variables that the files of a mounted Secret stand for; none if there is no Secret."""
    values = {name: folder / name for name in CREDENTIAL_VALUES}
    paths = {variable: folder / name for name, variable in CREDENTIAL_PATHS.items()}
    return {name: path.read_text().strip() for name, path in values.items() if path.is_file()} | {
        variable: str(path) for variable, path in paths.items() if path.is_file()
    }


def source_variables(source: DataSource) -> dict[str, str]:
    """The variables by which Streaming finds another S3 server than Amazon's, or may ask Hugging Face's."""
    wanted = {
        "HF_HUB_OFFLINE": "0" if (source.remote or "").startswith("hf://") else "1",
        "S3_ENDPOINT_URL": source.endpoint,
        "AWS_ENDPOINT_URL_S3": source.endpoint,
        "AWS_REGION": source.region,
        "AWS_DEFAULT_REGION": source.region,
    }
    return {name: value for name, value in wanted.items() if value}


def rank_variables(topology: Topology, local_rank: int, scratch: Path, temporary: Path) -> dict[str, str]:
    """What makes a process rank number `first_rank + local_rank`."""
    return {
        "RANK": str(topology.first_rank + local_rank),
        "WORLD_SIZE": str(topology.nodes * topology.per_node),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(topology.per_node),
        "NODE_RANK": str(topology.node_rank),
        "MASTER_ADDR": topology.master,
        "MASTER_PORT": str(topology.port),
        SCRATCH_VARIABLE: str(scratch),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def default_variables(topology: Topology) -> dict[str, str]:
    """What a rank gets unless the pod says otherwise: one thread each, and on one machine the loopback."""
    return {"OMP_NUM_THREADS": "1"} | ({"GLOO_SOCKET_IFNAME": "lo"} if topology.nodes == 1 else {})
