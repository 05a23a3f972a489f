"""Defines the Report of an Attempt: ASCII JSON of at most 2,000 bytes with a checksum.

PID 1 of the pod with rank 0, or of the pod whose rank failed, writes it once: to the container's termination message
or, locally, to a file.
"""

import json
import zlib
from enum import IntEnum
from typing import Any, Generic, TypeVar

from pydantic import Field, ValidationError

from sdbench_trainer.config import Boundary

LIMIT_BYTES = 2_000
"""Longest message: the kubelet cuts at 4,096 bytes, and at 2,457 in a pod with five containers."""

GIVES_WAY = (("measurement", "blockStepSeconds"), ("environment", "workload"), ("environment", "versions"))
"""The fields that are emptied, in this order, while a message is too long."""

DIGITS = 10
"""Significant digits of a number in a message: a relative error of at most 5e-10."""


class ExitCode(IntEnum):
    """Exit codes of PID 1 of a training pod; 128 + n means killed by signal n."""

    OK = 0
    CONFIG_INVALID = 64
    DATA_MISSING = 65
    RENDEZVOUS_TIMEOUT = 66
    OUT_OF_DEVICE_MEMORY = 67
    LOSS_NOT_FINITE = 68
    PEER_LOST = 69
    BUG = 70
    STALLED = 71
    SHARED_MEMORY_FULL = 72
    COLLECTIVE_ERROR = 73
    MIXED_DEVICES = 74


class RootCauseRank(IntEnum):
    """How well an exit explains why a run failed, best first; it compares the ranks of a pod and the pods of a run."""

    NAMED = 0
    """The exit code names the cause."""
    WAITED = 1
    """A rank waited for another, or made no progress."""
    RANK_KILLED = 2
    """A signal killed the rank."""
    BUG = 3
    """An exception, which may follow from another rank's failure."""
    COLLECTIVE = 4
    """A collective operation failed, perhaps because of a peer."""
    PEER = 5
    """A peer was lost, so the peer's exit is the explanation."""
    POD_KILLED = 6
    """PID 1 was stopped or killed, which may follow from anything."""


_RANKS = {
    ExitCode.RENDEZVOUS_TIMEOUT: RootCauseRank.WAITED,
    ExitCode.STALLED: RootCauseRank.WAITED,
    ExitCode.BUG: RootCauseRank.BUG,
    ExitCode.COLLECTIVE_ERROR: RootCauseRank.COLLECTIVE,
    ExitCode.PEER_LOST: RootCauseRank.PEER,
}


def root_cause_rank(code: int) -> RootCauseRank:
    """How well an exit code, or 128 + signal, explains a failure; a code without a name counts as a bug."""
    if code >= 128:
        return RootCauseRank.RANK_KILLED
    if code not in ExitCode.__members__.values():
        return RootCauseRank.BUG
    return _RANKS.get(ExitCode(code), RootCauseRank.NAMED)


class WindowState(IntEnum):
    """State of the window; the value of the metric sdbench_window_state."""

    WARM_UP = 0
    MEASURING = 1
    COMPLETE = 2


class StepSeconds(Boundary):
    """Percentiles of the measured steps, in seconds."""

    p5: float = Field(description="5 % of the steps are shorter; linear between neighbours.")
    p50: float = Field(description="The median step.")
    p95: float = Field(description="5 % of the steps are longer.")


# A float in a Report, and a decimal string in the status of a Benchmark: the Kubernetes API has no floats.
Number = TypeVar("Number")
# The same for a number that may be negative or very small, which a decimal string of the API may not be.
Signed = TypeVar("Signed")


class MeasurementFields(Boundary, Generic[Number, Signed]):
    """The fields that a Measurement has in a Report and in a Trial's row."""

    images_per_second: Number
    """images / seconds: the mean, for projections."""
    median_images_per_second: Number
    """Global batch over the median step: for comparisons."""
    batches: int
    """Steps in the window."""
    seconds: Number
    """Length of the window without evaluation and checkpoints."""
    drift_ratio: Signed
    """Mean step of the last third over that of the first third, minus 1."""
    rank_skew_ratio: Number
    """Own data wait + forward: maximum over median of the ranks."""
    data_wait_ratio_max: Number
    """Share of the window waited for data, the worst rank."""
    data_wait_ratio_mean: Number
    """Share of the window waited for data, mean of the ranks."""
    host_memory_peak_bytes: int
    """Most resident memory of a rank's process in the whole run."""
    device_memory_peak_bytes: int | None = None
    """Most memory of a device in the window."""
    loss: Signed
    """Loss of the last measured step, mean of all ranks."""
    mfu_ratio: Number | None = None
    """Model FLOPs utilisation; None if the peak is unknown."""
    foreign_cpu_ratio: Number | None = None
    """Share of the worst host's CPU time that other processes used; None if unreadable."""
    steal_ratio: Number | None = None
    """Share of the worst host's CPU time that the hypervisor took."""
    disturbed: bool = False
    """Whether both shares together exceed window.maxForeignCpuRatio."""
    replaced_samples: int = 0
    """Unreadable samples in the run, each replaced by another."""


class Measurement(MeasurementFields[float, float]):
    """The result of a complete window; every field is finite."""

    images: int = Field(description="Images in the window, over all devices.")
    step_seconds: StepSeconds
    block_step_seconds: tuple[float, ...] = Field(
        (), description="Mean step of up to 10 consecutive parts of the window, in seconds."
    )


class BatchTruth(Boundary):
    """The batch as it was run."""

    requested_global_batch_size: int
    global_batch_size: int
    per_device: int
    microbatches: int


class EnvironmentFields(Boundary, Generic[Number]):
    """The environment of a Measurement, in a Report and in the status of a Benchmark."""

    config_hash: str
    device: str
    device_count: int
    versions: dict[str, str]
    driver: str | None = None
    nccl: str | None = None
    workload: dict[str, str] = Field(default_factory=dict, description="The effective value of each setting.")
    flops_per_image: Number | None = Field(None, description="FLOP that the model needs for one image.")
    peak_teraflops: Number | None = Field(None, description="Dense peak of one device; absent if unknown.")


class Environment(EnvironmentFields[float]):
    """What a Measurement ran on: device, software and effective settings."""


class ReportError(Boundary):
    """Why there is no Measurement."""

    code: int = Field(description="Exit code: one of ExitCode, or 128 + signal.")
    rank: int | None = Field(None, description="Global rank that caused the failure.")
    where: str = Field(description="What the run was doing.")
    progress: tuple[int, int, int] | None = Field(
        None,
        description="Phase of a rank that hangs, the steps it has done, and the parts of the next step. Of several "
        "such ranks, the one with the least progress holds up the others.",
    )
    tail: str = Field("", description="Last lines of that rank's output.")


class Report(Boundary):
    """The outcome of an Attempt: a Measurement with its context, or an error."""

    attempt: str
    measurement: Measurement | None = None
    batch: BatchTruth | None = None
    environment: Environment | None = None
    seconds_to_first_step: float | None = None
    error: ReportError | None = None


def _encoded(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _short(value: Any) -> Any:
    """The value with every number in it rounded to DIGITS significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    return [_short(part) for part in value] if isinstance(value, list) else value


def _sealed(document: dict[str, Any]) -> str:
    checksum = f"{zlib.crc32(_encoded(document).encode()):08x}"
    return _encoded({**document, "checksum": checksum})


def message(report: Report) -> str:
    """The Report as a termination message of at most LIMIT_BYTES; `report_in` reads it.

    Raises ValueError for a number that is not finite, and for a Report that cannot be shortened enough.
    """
    # Rounded before the checksum is taken, so that a Report that was read back gives the same message.
    document = _short(report.document())
    text = _sealed(document)
    # The end of an error's tail says most, so it is cut at its front.
    while len(text) > LIMIT_BYTES and document.get("error", {}).get("tail"):
        excess = len(text) - LIMIT_BYTES
        document["error"]["tail"] = document["error"]["tail"][max(1, excess // 6) :]
        text = _sealed(document)
    for part, field in GIVES_WAY:
        if len(text) > LIMIT_BYTES and part in document:
            document[part][field] = type(document[part][field])()
            text = _sealed(document)
    if len(text) > LIMIT_BYTES:
        raise ValueError(f"the report has {len(text)} bytes, more than {LIMIT_BYTES}")
    return text


def report_in(text: str) -> Report | None:
    """The Report in a termination message; None if the message is missing, cut or altered."""
    try:
        document = json.loads(text)
        checksum = document.pop("checksum")
        if checksum != f"{zlib.crc32(_encoded(document).encode()):08x}":
            return None
        return Report.model_validate(document)
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError):
        return None
