"""Defines `spec.projection`, the full training to which a Measurement is extended, as frozen types."""

from typing import Annotated

from pydantic import Field

from sdbench.api.rule import Rule, SpecPart
from sdbench.api.spec_fields import BenchmarkName
from sdbench_trainer.config import DecimalString

IMAGES = 2_867_200_000
"""Images of the full training unless the spec says otherwise: 1.4 million batches of 2,048."""

Images = Annotated[int, Field(ge=1, le=10**15)]


class ProjectionStage(SpecPart):
    """A part of the training at one image size, and where its rate comes from."""

    images: Images = Field(description="Images that this stage sees.")
    image_size: int = Field(ge=32, le=4_096, description="Side of its images in pixels.")
    benchmark: BenchmarkName | None = Field(
        None,
        description="Benchmark of this namespace that measured the same model and device count at this size. "
        "Without it and rateRatio the Point's own rate holds, at its own imageSize.",
    )
    rate_ratio: DecimalString | None = Field(
        None, description="Rate of this stage over the Point's own, as you know it from elsewhere."
    )

    RULES = (
        Rule(
            "spec.projection.stages",
            "self.all(s, !(has(s.benchmark) && has(s.rateRatio)))",
            "set benchmark or rateRatio, not both: a stage has one rate",
            check=lambda one: one.benchmark is None or one.rate_ratio is None,
        ),
        Rule(
            "spec.projection.stages",
            "self.all(s, !has(s.rateRatio) || double(s.rateRatio) > 0.0)",
            "rateRatio must be above 0",
            check=lambda one: one.rate_ratio is None or one.rate_ratio > 0,
        ),
    )


class Projection(SpecPart):
    """The full training to which a measurement is extended."""

    images: Images | None = Field(
        None, description=f"Images of a training at one size. Without it and stages: {IMAGES:,}."
    )
    stages: tuple[ProjectionStage, ...] | None = Field(
        None,
        min_length=1,
        max_length=16,
        description="The training in parts of different image sizes; not with images.",
    )

    RULES = (
        Rule(
            "spec.projection:stages",
            "!(has(self.images) && has(self.stages))",
            "set images or stages, not both",
            check=lambda one: one.images is None or one.stages is None,
        ),
    )

    @property
    def total_images(self) -> int:
        """Images of the whole training."""
        return sum(stage.images for stage in self.stages) if self.stages else self.images or IMAGES
