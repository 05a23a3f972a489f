"""Defines a StableDiffusionBenchmark: metadata, spec and status together."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sdbench.api.spec import Spec
from sdbench.api.status import Status


class Metadata(BaseModel):
    """The part of ObjectMeta that decisions need."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str = "default"
    uid: str = "00000000-0000-0000-0000-000000000000"
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Benchmark(BaseModel):
    """A Benchmark: what to measure, and what is known so far."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec
    status: Status = Field(default_factory=Status)
