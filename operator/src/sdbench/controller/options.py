"""Reads the administrator's bounds, presets and Workload from the options that the chart gives."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from sdbench.api.spec_fields import ShortName
from sdbench.api.spec_scheduling import Preset
from sdbench.api.workload import Workload
from sdbench.controller.job.pod_defaults import CA_VARIABLES, PROXY_VARIABLES
from sdbench.core.snapshot import Bounds

RESERVED_NAMES = frozenset(
    {
        *("HOME", "OMP_NUM_THREADS", "TMPDIR", "PYTHONUNBUFFERED", "TOKENIZERS_PARALLELISM", "HF_HUB_OFFLINE"),
        *("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "NODE_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
        *("S3_ENDPOINT_URL", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN"),
        *(*PROXY_VARIABLES, *CA_VARIABLES),
    }
)
"""Variables that the operator, the training-operator or the launcher sets, or that carry a credential."""

RESERVED_PREFIXES = ("SDBENCH_", "PET_", "AWS_", "GCS_", "AZURE_")

PRESETS: TypeAdapter[dict[ShortName, Preset]] = TypeAdapter(dict[ShortName, Preset])
WORKLOAD: TypeAdapter[Workload] = TypeAdapter(Workload)

Content = TypeVar("Content")


class WrongOption(ValueError):
    """Raised for an option that the operator cannot start with; the text says which and why."""


def parsed_bounds(max_devices: int | None, device_hours: str | None, concurrent_trials: int | None) -> Bounds:
    """The bounds that hold for every Benchmark. Raises WrongOption."""
    if device_hours is None:
        return Bounds(max_devices, None, concurrent_trials)
    try:
        hours = Decimal(device_hours)
    except InvalidOperation:
        hours = Decimal(0)
    if not hours.is_finite() or hours <= 0:
        raise WrongOption(f"--max-device-hours: {device_hours!r} is not a number of hours above 0, such as 500 or 0.5")
    return Bounds(max_devices, hours, concurrent_trials)


def read_presets(file: Path | None) -> Mapping[str, Preset]:
    """The presets in a YAML or JSON file, by name; none without a file. Raises WrongOption."""
    if file is None:
        return {}
    presets = _read(file, "presets", PRESETS)
    for name, preset in presets.items():
        for variable in preset.environment:
            if variable in RESERVED_NAMES or variable.startswith(RESERVED_PREFIXES):
                raise WrongOption(f"{file}: {name}.environment.{variable}: a preset may not set it")
    return presets


def read_workload(file: Path | None) -> Workload | None:
    """The Workload in a YAML or JSON file; None if it fixes nothing. Raises WrongOption."""
    if file is None:
        return None
    workload = _read(file, "workload", WORKLOAD)
    return workload if workload != Workload() else None


def _read(file: Path, what: str, adapter: TypeAdapter[Content]) -> Content:
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongOption(f"{file}: the {what} cannot be read: {error}") from error
    try:
        return adapter.validate_python(content or {})
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, fault['loc'])) or what}: {fault['msg']}" for fault in error.errors())
        raise WrongOption(f"{file}: {'; '.join(wrong)}") from error
