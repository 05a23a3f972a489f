"""Lists the CEL rules of the spec that go beyond types and bounds.

The API server applies them with the operator down, after it has filled in defaults. A rule about a swept knob judges
every value of its axis.
"""

import re
from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from sdbench.api.crd.structural import Schema, at
from sdbench.api.names import NAME_LIMIT, NAME_PATTERN, PLAN_LIMIT
from sdbench.api.rule import Rule
from sdbench.api.spec import MUTABLE, Data
from sdbench_trainer.config import SHARE, WEIGHT, DataParallel, Precision, TrainerConfig
from sdbench_trainer.run import unsupported_for_cpu, unsupported_together

ANOTHER = "immutable: create another benchmark"
PRICE = "set devices.hourlyPrice: without a price nothing costs anything"


def values_of(knob: str) -> str:
    """The values that a knob takes, as CEL at the spec."""
    return f"(has(self.sweep) && has(self.sweep.{knob}) ? self.sweep.{knob} : [self.trainer.{knob}])"


NAME = (
    Rule(
        ":metadata.name",
        f"self.metadata.name.size() <= {NAME_LIMIT}",
        f"use at most {NAME_LIMIT} characters: the names of jobs and pods are longer by up to 27",
        check=lambda name: len(name) <= NAME_LIMIT,
    ),
    Rule(
        ":metadata.name",
        f"self.metadata.name.matches('{NAME_PATTERN}')",
        "use lower-case letters, digits and dashes, beginning with a letter and ending with a letter or digit",
        check=lambda name: re.fullmatch(NAME_PATTERN, name) is not None,
    ),
)
"""Python checks the name alone."""

SWITCHES = (Rule("spec:cancel", "!oldSelf.cancel || self.cancel", "one-way: a cancelled benchmark stays cancelled"),)

DEVICES = (
    Rule(
        "spec.devices:counts",
        "self.counts.all(c, self.counts.exists_one(d, d == c))",
        "write each count once: repeats sets how often it is measured",
        check=lambda devices: len(set(devices.counts)) == len(devices.counts),
    ),
    Rule(
        "spec.devices:counts",
        "self.counts.all(c, c <= self.perPod || c % self.perPod == 0)",
        "a count above perPod must be a multiple of perPod",
        check=lambda devices: all(c <= devices.per_pod or c % devices.per_pod == 0 for c in devices.counts),
    ),
    Rule(
        "spec.devices:peakTeraflops",
        "!has(self.peakTeraflops) || double(self.peakTeraflops) > 0.0",
        "must be above 0; leave it out where it is unknown",
        check=lambda devices: devices.peak_teraflops is None or devices.peak_teraflops > 0,
    ),
)

LIMITS = (
    Rule(
        "spec:devices.counts",
        "oldSelf.hasValue() || self.devices.counts.all(c, c <= self.limits.maxDevices)",
        "every count must be at most limits.maxDevices",
        # A limit that is lowered later skips the counts above it.
        only_at_creation=True,
    ),
    Rule(
        "spec:limits.cost",
        "!has(self.limits.cost) || double(self.devices.hourlyPrice) > 0.0",
        PRICE,
        check=lambda one: one.spec.limits.cost is None or one.spec.devices.hourly_price > 0,
    ),
)

REPEATS = (
    Rule(
        "spec.repeats:max",
        "!has(self.max) || self.max >= self.min",
        "must be at least min",
        check=lambda repeats: repeats.most >= repeats.min,
    ),
    Rule(
        "spec.repeats:targetCoefficientOfVariation",
        "!has(self.max) || self.max <= self.min || has(self.targetCoefficientOfVariation)",
        "set it when max is above min: it says when fewer repeats are enough",
        "FieldValueRequired",
        check=lambda repeats: repeats.most <= repeats.min or repeats.target_coefficient_of_variation is not None,
    ),
    Rule(
        "spec.repeats:targetCoefficientOfVariation",
        "!has(self.targetCoefficientOfVariation) || double(self.targetCoefficientOfVariation) > 0.0",
        "must be above 0, as in 0.02",
        check=lambda repeats: repeats.target_coefficient_of_variation != 0,
    ),
)

# The trainer checks these by itself, each value of a swept one, too.
SHARES = tuple(
    rule
    for part, name, bound, message in (
        (".ema", "smoothing", "< 1.0", WEIGHT),
        ("", "captionDropout", "<= 1.0", SHARE),
        (".window", "maxForeignCpuRatio", "<= 1.0", SHARE),
    )
    for rule in (
        Rule(f"spec.trainer{part}:{name}", f"double(self.{name}) {bound}", message),
        Rule(f"spec.sweep{part}:{name}", f"!has(self.{name}) || self.{name}.all(v, double(v) {bound})", message),
    )
)

OTHERS = (
    Rule("spec.imagePullSecrets", "self.all(s, self.exists_one(t, t == s))", "write each name once"),
    Rule(
        "spec.devices.perDevice:sharedMemory",
        "!(isQuantity(self.memory) && isQuantity(self.sharedMemory))"
        " || quantity(self.sharedMemory).isLessThan(quantity(self.memory))",
        "must be less than memory: it counts as memory",
    ),
    *Data.RULES,
    *SHARES,
)


def cel_rules(schema: Schema) -> Iterator[Rule]:
    """Every rule of this module, given the root schema of the resource."""
    sweep = at(schema, "spec.sweep")
    yield from NAME
    yield from _immutable(at(schema, "spec"))
    yield from (*SWITCHES, *DEVICES, *LIMITS, *REPEATS)
    yield from _batch(at(schema, "spec.trainer.globalBatchSize")["maximum"])
    yield from _unsupported(at(schema, "spec.trainer"))
    yield from OTHERS
    yield _size(sweep)
    for axis in _axes(sweep):
        yield Rule(f"spec.sweep.{axis}", "self.all(v, self.exists_one(w, w == v))", "write each value once")


def _immutable(spec: Schema) -> Iterator[Rule]:
    for name, field in spec["properties"].items():
        if name in map(to_camel, MUTABLE):
            continue
        yield Rule(f"spec.{name}", "self == oldSelf", ANOTHER, "FieldValueForbidden")
        # The rule above does not run when an optional field is added or removed.
        if "default" not in field and name not in spec.get("required", ()):
            yield Rule(f"spec:{name}", f"has(self.{name}) == has(oldSelf.{name})", ANOTHER, "FieldValueForbidden")


def _batch(largest: int) -> Iterator[Rule]:
    """The global batch divides by the devices, and each device's share by its microbatch: `division` in CEL."""
    # Under Weak scaling the batch is the smallest count's, and every device gets as many images as there.
    counts = "(self.scaling == 'Weak' ? [self.devices.counts.min()] : self.devices.counts)"
    sizes, micros = values_of("globalBatchSize"), values_of("deviceMicrobatchSize")
    # A swept knob that relaxes a rule must do so in every cell of the grid.
    ragged, automatic = (f"{values_of(knob)}.all(v, v)" for knob in ("allowRaggedBatch", "automaticMicrobatch"))
    yield from _knob_rules(
        "globalBatchSize",
        f"{sizes}.all(g, {counts}.all(c, g >= c))",
        "must be at least every count in devices.counts (under Weak: the smallest): each device takes an image",
    )
    yield from _knob_rules(
        "globalBatchSize",
        f"{ragged} || {sizes}.all(g, {counts}.all(c, g < c || g % c == 0))",
        "must be a multiple of every count in devices.counts (under Weak: of the smallest); or set allowRaggedBatch "
        "to run the largest that is",
    )
    shares = f"{sizes}.all(g, {counts}.all(c, g % c != 0 || {micros}.all(m, g / c <= m || (g / c) % m == 0)))"
    yield from _knob_rules(
        "deviceMicrobatchSize",
        f"{ragged} || {automatic} || {shares}",
        "must divide globalBatchSize / devices for every count, or be larger; or set allowRaggedBatch to let the last "
        "microbatch be smaller",
    )
    # The schema bounds the batch as written, not as grown with the devices.
    growth = "self.devices.counts.max() / self.devices.counts.min()"
    yield from _knob_rules(
        "globalBatchSize",
        f"self.scaling != 'Weak' || {sizes}.all(g, g * {growth} <= {largest})",
        f"grows beyond {largest} images at the largest count",
    )


def _unsupported(trainer: Schema) -> Iterator[Rule]:
    """What the trainer refuses: a knob's value without an accelerator, and a value beside FSDP2."""
    on_gpus = "has(self.devices.resource)"
    unsharded = f"!{values_of('dataParallel')}.exists(v, v == '{DataParallel.FSDP2}')"
    for knob, field in trainer["properties"].items():
        for value in field.get("enum", (True,) if field["type"] == "boolean" else ()):
            literal = str(value).lower() if isinstance(value, bool) else f"'{value}'"
            allowed = f"{values_of(knob)}.all(v, v != {literal})"
            # With fp32, which every device supports, nothing but the knob itself can be refused.
            alone = TrainerConfig.model_validate({"precision": Precision.FP32, knob: value})
            if unfit := unsupported_for_cpu(alone):
                sentence = f"{unfit.sentence}; for GPUs name devices.resource"
                yield from _knob_rules(knob, f"{on_gpus} || {allowed}", sentence)
            sharded = alone.model_copy(update={"data_parallel": DataParallel.FSDP2})
            if knob != "dataParallel" and (unfit := unsupported_together(sharded)):
                yield from _knob_rules(knob, f"{unsharded} || {allowed}", unfit.sentence)


def _knob_rules(knob: str, holds: str, message: str) -> Iterator[Rule]:
    """The rule twice, so that the field is blamed that the author wrote: the knob, or its axis."""
    swept = f"has(self.sweep) && has(self.sweep.{knob})"
    yield Rule(f"spec:trainer.{knob}", f"({swept}) || ({holds})", message)
    yield Rule(f"spec:sweep.{knob}", f"!({swept}) || ({holds})", message)


def _axes(part: Schema, path: str = "") -> Iterator[str]:
    """The dotted path of each axis below a part of the sweep."""
    for name, below in part["properties"].items():
        if below["type"] == "array":
            yield f"{path}{name}"
        else:
            yield from _axes(below, f"{path}{name}.")


def _size(sweep: Schema) -> Rule:
    """Trials = counts x swept values x repeats."""
    factors = ["self.devices.counts.size()", "(has(self.repeats.max) ? self.repeats.max : self.repeats.min)"]
    for axis in _axes(sweep):
        # has() fails for a field of an absent parent, so each parent is asked first.
        names = axis.split(".")
        present = " && ".join(f"has(self.sweep.{'.'.join(names[:end])})" for end in range(1, len(names) + 1))
        factors.append(f"(has(self.sweep) && {present} ? self.sweep.{axis}.size() : 1)")
    sentence = f"counts x swept values x repeats must be at most {PLAN_LIMIT} trials"
    return Rule("spec:sweep", f"{' * '.join(factors)} <= {PLAN_LIMIT}", sentence)
