"""Lists the CEL rules of the spec that go beyond types and bounds.

They hold with the operator down, and each names the field and says what to do. Defaults are applied before a rule
runs. A rule about a swept knob looks at every value of its axis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sdbench.api.crd.structural import Schema, at
from sdbench.api.names import NAME_LIMIT, NAME_PATTERN, PLAN_LIMIT
from sdbench_trainer.config import DataParallel, Precision, TrainerConfig
from sdbench_trainer.run import unsupported_for_cpu, unsupported_together

MUTABLE = frozenset({"limits", "retention", "ttlSecondsAfterFinished", "suspend", "cancel"})
"""Fields of the spec that may be edited; every other is the question itself."""

ANOTHER = "immutable: create another benchmark"
SHARDED = {"data_parallel": DataParallel.FSDP2}


@dataclass(frozen=True)
class Rule:
    """One refusal: where the rule sits, what must hold, what is said, and of which field (from where it sits)."""

    at: str
    holds: str
    message: str
    field: str = ""
    reason: str = "FieldValueInvalid"
    only_at_creation: bool = False
    """Then oldSelf is an optional, and the rule says that it holds when that has a value."""

    def document(self) -> dict[str, Any]:
        """Itself as one of x-kubernetes-validations."""
        written = {"rule": self.holds, "message": self.message, "reason": self.reason}
        more = {"fieldPath": self.field} if self.field else {}
        return written | more | ({"optionalOldSelf": True} if self.only_at_creation else {})


def cel_rules(schema: Schema) -> Iterator[Rule]:
    """Every rule that belongs to the root schema of the resource."""
    yield from NAME
    yield from _immutable(at(schema, "spec"))
    yield from SWITCHES
    yield from DEVICES
    yield from LIMITS
    yield from REPEATS
    yield from _batch(at(schema, "spec.trainer.globalBatchSize")["maximum"])
    yield from _unfit(at(schema, "spec.trainer"))
    yield from OTHERS
    yield _size(at(schema, "spec.sweep"))
    yield from _distinct(at(schema, "spec.sweep"), "spec.sweep")


NAME = (
    Rule(
        "",
        f"self.metadata.name.size() <= {NAME_LIMIT}",
        f"use at most {NAME_LIMIT} characters: the names of jobs and pods are longer by up to 27",
        ".metadata.name",
    ),
    Rule(
        "",
        f"self.metadata.name.matches('{NAME_PATTERN}')",
        "use lower-case letters, digits and dashes, beginning with a letter and ending with a letter or digit",
        ".metadata.name",
    ),
)

SWITCHES = (
    Rule("spec", "!oldSelf.cancel || self.cancel", "one-way: a cancelled benchmark stays cancelled", ".cancel"),
)

DEVICES = (
    Rule("spec.devices", "self.counts.all(c, self.counts.exists_one(d, d == c))", "write each count once", ".counts"),
    Rule(
        "spec.devices",
        "self.counts.all(c, c <= self.perPod || c % self.perPod == 0)",
        "a count above perPod must be a multiple of perPod",
        ".counts",
    ),
    Rule(
        "spec",
        "oldSelf.hasValue() || self.devices.counts.all(c, c <= self.limits.maxDevices)",
        "every count must be at most limits.maxDevices",
        ".devices.counts",
        only_at_creation=True,  # lowered later, it is a brake: what is too large is skipped
    ),
)

LIMITS = (
    Rule(
        "spec",
        "!has(self.limits.cost) || double(self.devices.hourlyPrice) > 0.0",
        "set devices.hourlyPrice: without a price nothing costs anything",
        ".limits.cost",
    ),
)

REPEATS = (
    Rule("spec.repeats", "!has(self.max) || self.max >= self.min", "must be at least min", ".max"),
    Rule(
        "spec.repeats",
        "!has(self.max) || self.max <= self.min || has(self.targetCoefficientOfVariation)",
        "set it when max is above min: it says when fewer repeats are enough",
        ".targetCoefficientOfVariation",
        "FieldValueRequired",
    ),
    Rule(
        "spec.repeats",
        "!has(self.targetCoefficientOfVariation) || double(self.targetCoefficientOfVariation) > 0.0",
        "must be above 0, as in 0.02",
        ".targetCoefficientOfVariation",
    ),
)

OTHERS = (
    Rule("spec.imagePullSecrets", "self.all(s, self.exists_one(t, t == s))", "write each name once"),
    Rule(
        "spec.devices.perDevice",
        "!(isQuantity(self.memory) && isQuantity(self.sharedMemory))"
        " || quantity(self.sharedMemory).isLessThan(quantity(self.memory))",
        "must be less than memory: it counts as memory",
        ".sharedMemory",
    ),
    Rule(
        "spec.data",
        "!(has(self.remote) && has(self.claim))",
        "set remote or claim, not both: shards come from one place",
        ".claim",
    ),
    Rule("spec.trainer.ema", "double(self.smoothing) < 1.0", "must be at least 0 and below 1", ".smoothing"),
    Rule("spec.trainer", "double(self.captionDropout) <= 1.0", "must be at least 0 and at most 1", ".captionDropout"),
    Rule(
        "spec.trainer.window",
        "double(self.maxForeignCpuRatio) <= 1.0",
        "must be at least 0 and at most 1",
        ".maxForeignCpuRatio",
    ),
    Rule(
        "spec.sweep.window",
        "!has(self.maxForeignCpuRatio) || self.maxForeignCpuRatio.all(v, double(v) <= 1.0)",
        "must be at least 0 and at most 1",
        ".maxForeignCpuRatio",
    ),
    Rule(
        "spec.devices",
        "!has(self.peakTeraflops) || double(self.peakTeraflops) > 0.0",
        "must be above 0; leave it out where it is unknown",
        ".peakTeraflops",
    ),
    Rule(
        "spec.sweep.ema",
        "!has(self.smoothing) || self.smoothing.all(v, double(v) < 1.0)",
        "must be at least 0 and below 1",
        ".smoothing",
    ),
    Rule(
        "spec.sweep",
        "!has(self.captionDropout) || self.captionDropout.all(v, double(v) <= 1.0)",
        "must be at least 0 and at most 1",
        ".captionDropout",
    ),
)


def _immutable(spec: Schema) -> Iterator[Rule]:
    for name, field in spec["properties"].items():
        if name in MUTABLE:
            continue
        yield Rule(f"spec.{name}", "self == oldSelf", ANOTHER, reason="FieldValueForbidden")
        if "default" not in field and name not in spec.get("required", ()):
            guard = f"has(self.{name}) == has(oldSelf.{name})"
            yield Rule("spec", guard, ANOTHER, f".{name}", "FieldValueForbidden")


def _batch(largest: int) -> Iterator[Rule]:
    """The global batch divides by the devices, and each device's share by its microbatch: `division` in CEL.

    A swept knob that would relax a rule does so only if it does in every cell of the grid. Under Weak scaling the batch
    belongs to the smallest count, so that every device's share is that count's.
    """
    counts = "(self.scaling == 'Weak' ? [self.devices.counts.min()] : self.devices.counts)"
    sizes, micros = values_of("globalBatchSize"), values_of("deviceMicrobatchSize")
    ragged, automatic = (f"{values_of(knob)}.all(v, v)" for knob in ("allowRaggedBatch", "automaticMicrobatch"))
    enough = f"{sizes}.all(g, {counts}.all(c, g >= c))"
    says = "must be at least every count in devices.counts (under Weak: the smallest): each device takes an image"
    yield from _swept_or_not("globalBatchSize", enough, says)
    divides = f"{ragged} || {sizes}.all(g, {counts}.all(c, g < c || g % c == 0))"
    says = (
        "must be a multiple of every count in devices.counts (under Weak: of the smallest); or set allowRaggedBatch "
        "to run the largest that is"
    )
    yield from _swept_or_not("globalBatchSize", divides, says)
    shares = f"{sizes}.all(g, {counts}.all(c, g % c != 0 || {micros}.all(m, g / c <= m || (g / c) % m == 0)))"
    says = (
        "must divide globalBatchSize / devices for every count, or be larger; or set allowRaggedBatch to let the last "
        "microbatch be smaller"
    )
    yield from _swept_or_not("deviceMicrobatchSize", f"{ragged} || {automatic} || {shares}", says)
    growth = "self.devices.counts.max() / self.devices.counts.min()"
    grown = f"self.scaling != 'Weak' || {sizes}.all(g, g * {growth} <= {largest})"
    yield from _swept_or_not("globalBatchSize", grown, f"grows beyond {largest} images at the largest count")


def _unfit(trainer: Schema) -> Iterator[Rule]:
    """What `unfit_for_cpu` says of each value of a knob where no devices are named, and `unfit_together` of it beside
    FSDP2. In a grid every value meets every other.
    """
    on_gpus = "has(self.devices.resource)"
    unsharded = f"!{values_of('dataParallel')}.exists(v, v == '{DataParallel.FSDP2}')"
    for knob, field in trainer["properties"].items():
        for value in field.get("enum", (True,) if field["type"] == "boolean" else ()):
            allowed = f"{values_of(knob)}.all(v, v != {_literal(value)})"
            alone = TrainerConfig.model_validate({"precision": Precision.FP32, knob: value})
            if unfit := unsupported_for_cpu(alone):
                yield from _swept_or_not(
                    knob, f"{on_gpus} || {allowed}", f"{unfit.sentence}; for GPUs name devices.resource"
                )
            if knob != "dataParallel" and (unfit := unsupported_together(alone.model_copy(update=SHARDED))):
                yield from _swept_or_not(knob, f"{unsharded} || {allowed}", unfit.sentence)


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'"


def values_of(knob: str) -> str:
    """The values that a knob takes, as CEL at the spec."""
    return f"(has(self.sweep) && has(self.sweep.{knob}) ? self.sweep.{knob} : [self.trainer.{knob}])"


def _swept_or_not(knob: str, holds: str, message: str) -> Iterator[Rule]:
    """The same rule at the field that the person wrote: the axis of the knob, or the knob."""
    swept = f"has(self.sweep) && has(self.sweep.{knob})"
    yield Rule("spec", f"({swept}) || ({holds})", message, f".trainer.{knob}")
    yield Rule("spec", f"!({swept}) || ({holds})", message, f".sweep.{knob}")


def _axes(sweep: Schema, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each axis below a part of the sweep: its path and the parents that may be absent."""
    for name, part in sweep["properties"].items():
        here = f"{path}.{name}"
        if part["type"] == "array":
            yield here, (here,)
        else:
            yield from ((axis, (here, *parents)) for axis, parents in _axes(part, here))


def _size(sweep: Schema) -> Rule:
    """Trials = counts x swept values x repeats."""
    factors = ["self.devices.counts.size()", "(has(self.repeats.max) ? self.repeats.max : self.repeats.min)"]
    for axis, parents in _axes(sweep):
        present = " && ".join(f"has(self.sweep{parent})" for parent in ("", *parents) if parent)
        factors.append(f"(has(self.sweep) && {present} ? self.sweep{axis}.size() : 1)")
    says = f"counts x swept values x repeats must be at most {PLAN_LIMIT} trials"
    return Rule("spec", f"{' * '.join(factors)} <= {PLAN_LIMIT}", says, ".sweep")


def _distinct(sweep: Schema, where: str) -> Iterator[Rule]:
    for name, part in sweep["properties"].items():
        if part["type"] == "array":
            holds = "self.all(v, self.exists_one(w, w == v))"
            yield Rule(f"{where}.{name}", holds, "write each value once")
        else:
            yield from _distinct(part, f"{where}.{name}")
