"""Derives the ranks of this pod, and each rank's environment variables, from the variables of the PyTorchJob."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sdbench_trainer.run import RUN_VARIABLE, SCRATCH_VARIABLE, START_VARIABLE, DataSource, RunConfig

CREDENTIAL_VALUES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("GCS_KEY", "GCS_SECRET"),
    *("AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_ACCESS_KEY"),
    "HF_TOKEN",
)
"""Keys of a Secret whose values become environment variables of the same name."""

CREDENTIAL_PATHS = {
    "credentials": "AWS_SHARED_CREDENTIALS_FILE",
    "config": "AWS_CONFIG_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""Keys of a Secret, each with the environment variable that receives the path of its file."""


class LaunchRefused(Exception):
    """The run cannot start as requested; the text names the wrong field."""


@dataclass(frozen=True)
class Topology:
    """The pods of a run, and this pod's place among them."""

    nodes: int
    node_rank: int
    per_node: int
    master: str
    port: int
    start_seconds: int = 0
    """How long other pods may take to start: to pull their images and to mount their volumes."""

    @property
    def first_rank(self) -> int:
        """Global rank of this pod's first process."""
        return self.node_rank * self.per_node


def run_in(environment: Mapping[str, str]) -> RunConfig:
    """The configuration of this pod's run. Raises LaunchRefused with the path of every wrong field."""
    if RUN_VARIABLE not in environment:
        raise LaunchRefused(f"{RUN_VARIABLE} is not set; set it to the run's configuration as JSON.")
    try:
        return RunConfig.model_validate_json(environment[RUN_VARIABLE])
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, fault['loc'])) or RUN_VARIABLE}: {fault['msg']}" for fault in error.errors())
        raise LaunchRefused("The configuration is not valid. " + "; ".join(wrong)) from error


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    # An empty variable counts as not set.
    text = environment.get(name) or str(default)
    if not text.isdigit():
        raise LaunchRefused(f"{name}: {text!r} is not a number; set nprocPerNode of the job to the devices of a pod.")
    return int(text)


def free_port() -> int:
    """A TCP port of this machine on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def topology_in(environment: Mapping[str, str], devices: int) -> Topology:
    """This pod's place among the pods, and the address where their ranks meet. Raises LaunchRefused."""
    # Of the job's variables only PET_* and MASTER_* are read: RANK and WORLD_SIZE count pods, not ranks.
    nodes = _number(environment, "PET_NNODES", 1)
    per_node = _number(environment, "PET_NPROC_PER_NODE", max(1, devices // max(1, nodes)))
    node_rank = _number(environment, "PET_NODE_RANK", 0)
    if nodes * per_node != devices or not 0 <= node_rank < nodes:
        raise LaunchRefused(
            f"devices: {nodes} pods of {per_node} (this is pod {node_rank}) do not add up to {devices}."
        )
    port = _number(environment, "PET_MASTER_PORT", _number(environment, "MASTER_PORT", 0))
    if nodes == 1:
        return Topology(1, 0, per_node, "127.0.0.1", port or free_port())
    master = environment.get("PET_MASTER_ADDR") or environment.get("MASTER_ADDR")
    if not master or not port:
        raise LaunchRefused("PET_MASTER_ADDR and PET_MASTER_PORT are not set; several pods need both to meet.")
    return Topology(nodes, node_rank, per_node, master, port, _number(environment, START_VARIABLE, 0))


def credential_variables(folder: Path) -> dict[str, str]:
    """The environment variables for the files of a mounted Secret; none if there is no Secret."""
    values = {name: folder / name for name in CREDENTIAL_VALUES}
    paths = {variable: folder / name for name, variable in CREDENTIAL_PATHS.items()}
    return {name: path.read_text().strip() for name, path in values.items() if path.is_file()} | {
        variable: str(path) for variable, path in paths.items() if path.is_file()
    }


def source_variables(source: DataSource) -> dict[str, str]:
    """The environment variables that point Streaming to an S3 server and permit or forbid requests to Hugging Face."""
    # Networks and tokenizer are part of the image, so only shards may be downloaded.
    wanted = {
        "HF_HUB_OFFLINE": "0" if (source.remote or "").startswith("hf://") else "1",
        "S3_ENDPOINT_URL": source.endpoint,
        "AWS_ENDPOINT_URL_S3": source.endpoint,
        "AWS_REGION": source.region,
        "AWS_DEFAULT_REGION": source.region,
    }
    return {name: value for name, value in wanted.items() if value}


def rank_variables(topology: Topology, local_rank: int, scratch: Path, temporary: Path) -> dict[str, str]:
    """The environment variables that make a process rank `first_rank + local_rank`."""
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
    """The environment variables of a rank that the pod's own override: one thread, and on one machine the loopback."""
    # More threads would compete with those of the other ranks for the pod's CPUs.
    return {"OMP_NUM_THREADS": "1"} | ({"GLOO_SOCKET_IFNAME": "lo"} if topology.nodes == 1 else {})
