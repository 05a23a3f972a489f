"""Lists the CEL rules of a projection and a gate."""

from collections.abc import Iterable

from sdbench.api.benchmark import Benchmark
from sdbench.api.crd.rules import PRICE, values_of
from sdbench.api.rule import Rule
from sdbench.api.spec_gate import Baseline, Gate
from sdbench.api.spec_projection import Projection, ProjectionStage

ITSELF = "name another benchmark: this one cannot be compared with itself"


def _stages(benchmark: Benchmark) -> Iterable[ProjectionStage]:
    return benchmark.spec.projection.stages or ()


def _every_stage_has_a_rate(benchmark: Benchmark) -> bool:
    spec = benchmark.spec
    # A swept value is checked with the plan: a local file may hold a text that the trainer reads as a number.
    sizes = {int(size) for size in (spec.sweep or {}).get("imageSize", [spec.trainer.image_size])}
    return all(stage.benchmark or stage.rate_ratio or sizes == {stage.image_size} for stage in _stages(benchmark))


PARTS = (*Projection.RULES, *ProjectionStage.RULES, *Gate.RULES, *Baseline.RULES)
"""The types themselves check these."""

WHOLE = (
    Rule(
        "spec:projection.stages",
        "!has(self.projection.stages) || self.projection.stages.all(s, has(s.benchmark) || has(s.rateRatio)"
        f" || {values_of('imageSize')}.all(v, v == s.imageSize))",
        "a stage at another size than trainer.imageSize needs a benchmark that measured it, or a rateRatio",
        check=_every_stage_has_a_rate,
    ),
    Rule(
        ":spec.projection.stages",
        "!has(self.spec.projection.stages)"
        " || self.spec.projection.stages.all(s, !has(s.benchmark) || s.benchmark != self.metadata.name)",
        ITSELF,
        check=lambda one: all(stage.benchmark != one.metadata.name for stage in _stages(one)),
    ),
    Rule(
        "spec:gate.devices",
        "!has(self.gate) || !has(self.gate.devices) || self.gate.devices.all(d, d in self.devices.counts)",
        "every count must be in devices.counts: only those are measured",
        check=lambda one: not one.spec.gate or set(one.spec.gate.devices or ()) <= set(one.spec.devices.counts),
    ),
    Rule(
        "spec:gate.maxCost",
        "!has(self.gate) || !has(self.gate.maxCost) || double(self.devices.hourlyPrice) > 0.0",
        PRICE,
        check=lambda one: not one.spec.gate or one.spec.gate.max_cost is None or one.spec.devices.hourly_price > 0,
    ),
    Rule(
        ":spec.gate.baseline.name",
        "!has(self.spec.gate) || !has(self.spec.gate.baseline) || self.spec.gate.baseline.name != self.metadata.name",
        ITSELF,
        check=lambda one: (
            not one.spec.gate or not one.spec.gate.baseline or one.spec.gate.baseline.name != one.metadata.name
        ),
    ),
)
"""Python checks the Benchmark: a part of its spec does not know the others, or the name."""
