"""Lists the CEL rules of a projection and a gate."""

from sdbench.api.crd.rules import Rule, values_of
from sdbench.api.spec_gate import Gate

LIMITS = [field.alias for name, field in Gate.model_fields.items() if name != "devices"]
ITSELF = "name another benchmark: this one cannot be compared with itself"

GOALS = (
    Rule("spec.projection", "!(has(self.images) && has(self.stages))", "set images or stages, not both", ".stages"),
    Rule(
        "spec.projection.stages",
        "self.all(s, !(has(s.benchmark) && has(s.rateRatio)))",
        "set benchmark or rateRatio, not both: a stage has one rate",
    ),
    Rule(
        "spec.projection.stages",
        "self.all(s, !has(s.rateRatio) || double(s.rateRatio) > 0.0)",
        "rateRatio must be above 0",
    ),
    Rule(
        "spec",
        "!has(self.projection.stages) || self.projection.stages.all(s, has(s.benchmark) || has(s.rateRatio)"
        f" || {values_of('imageSize')}.all(v, v == s.imageSize))",
        "a stage at another size than trainer.imageSize needs a benchmark that measured it, or a rateRatio",
        ".projection.stages",
    ),
    Rule(
        "",
        "!has(self.spec.projection.stages)"
        " || self.spec.projection.stages.all(s, !has(s.benchmark) || s.benchmark != self.metadata.name)",
        ITSELF,
        ".spec.projection.stages",
    ),
    Rule("spec.gate", " || ".join(f"has(self.{limit})" for limit in LIMITS), "write at least one limit"),
    Rule(
        "spec",
        "!has(self.gate) || !has(self.gate.devices) || self.gate.devices.all(d, d in self.devices.counts)",
        "every count must be in devices.counts: only those are measured",
        ".gate.devices",
    ),
    Rule(
        "spec",
        "!has(self.gate) || !has(self.gate.maxCost) || double(self.devices.hourlyPrice) > 0.0",
        "set devices.hourlyPrice: without a price nothing costs anything",
        ".gate.maxCost",
    ),
    *(
        Rule("spec.gate", f"!has(self.{limit}) || double(self.{limit}) <= 1.0", "a share: at most 1", f".{limit}")
        for limit in ("maxDataWaitRatio", "minMfu")
    ),
    Rule(
        "spec.gate.baseline",
        "double(self.maxRegression) < 1.0",
        'must be below 1: "0.02" is 2 %',
        ".maxRegression",
    ),
    Rule(
        "",
        "!has(self.spec.gate) || !has(self.spec.gate.baseline) || self.spec.gate.baseline.name != self.metadata.name",
        ITSELF,
        ".spec.gate.baseline.name",
    ),
)
