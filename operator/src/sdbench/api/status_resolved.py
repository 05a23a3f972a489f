"""Defines `status.resolved`: what is pinned at acceptance, so that an upgrade does not change a running sweep."""

from pydantic import Field

from sdbench.api.spec_scheduling import Preset
from sdbench.api.status_model import StatusModel
from sdbench.api.workload import Workload


class Resolved(StatusModel):
    """What was pinned when the Benchmark was accepted."""

    image: str
    operator_version: str
    preset: Preset | None = Field(None, description="What spec.scheduling.preset named, as it was then.")
    workload: Workload | None = Field(None, description="What the administrator fixed in every pod, as it was then.")
