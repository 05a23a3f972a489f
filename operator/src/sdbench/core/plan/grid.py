"""Plans the Trials that a question asks for, in their order: a pure function of the spec.

Counts ascend and repeats go round-robin (every Point once, then every Point again), so that a drift of the cluster
shows between repeats and cheap Points fail first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from pydantic import ValidationError

from sdbench.api.crd.rules import DEVICES, REPEATS
from sdbench.api.crd.structural import AXIS_LENGTH
from sdbench.api.names import PLAN_LIMIT
from sdbench.api.rule import Rule
from sdbench.api.spec import Scaling, Spec
from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.run import division, unsupported_for_cpu, unsupported_for_pods, unsupported_together

LABEL_CHARACTERS = 128

Axis = tuple[str, tuple[Any, ...]]
"""A knob's dotted name and the values to try."""

Knobs = tuple[tuple[str, Any], ...]
"""One cell of the grid: dotted names with their values, sorted by name."""


class PlanRefused(ValueError):
    """The question cannot be asked: the path of the field, and a sentence that says why."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{path}: {sentence}")
        self.path = path
        self.sentence = sentence


@dataclass(frozen=True)
class Point:
    """One configuration to be measured."""

    label: str
    devices: int
    pods: int
    devices_per_pod: int
    config: TrainerConfig

    @property
    def knobs(self) -> str:
        return knobs(self.label)


def knobs(label: str) -> str:
    """A Point's label without the device count: the part that Points of different scale have in common."""
    return label.partition(",")[2]


@dataclass(frozen=True)
class Trial:
    """One repeat of a Point."""

    index: int
    point: Point
    repeat: int


def plan(spec: Spec) -> tuple[Trial, ...]:
    """The Trials of the question; raises PlanRefused."""
    largest, allowed = max(spec.devices.counts), spec.limits.max_devices
    if largest > allowed:
        raise PlanRefused("spec.devices.counts", f"{largest} devices are more than limits.maxDevices, {allowed}")
    return trials(spec)


def trials(spec: Spec) -> tuple[Trial, ...]:
    """The Trials without regard to `limits`, which may change after acceptance; raises PlanRefused."""
    axes = tuple(_axes(spec.sweep or {}, ""))
    refuse_broken(DEVICES, spec.devices)
    refuse_broken(REPEATS, spec.repeats)
    # Before the grid is built, which could be huge.
    size = len(spec.devices.counts) * prod(len(values) for _, values in axes) * spec.repeats.most
    if size > PLAN_LIMIT:
        raise PlanRefused("spec", f"{size} trials are more than {PLAN_LIMIT}; take fewer counts, values or repeats")
    names, cells = [name for name, _ in axes], list(product(*(values for _, values in axes)))
    points = tuple(
        _point(spec, count, tuple(zip(names, cell, strict=True)))
        for count in sorted(spec.devices.counts)
        for cell in cells
    )
    _refuse_duplicates(points)
    ordered = ((repeat, point) for repeat in range(spec.repeats.most) for point in points)
    return tuple(Trial(index, point, repeat) for index, (repeat, point) in enumerate(ordered))


def refuse_broken(rules: Iterable[Rule], part: Any) -> None:
    """Raises PlanRefused for the first rule that a part of the Benchmark breaks."""
    # The API server has applied the rules, unless its CRD is older; a local run has no API server.
    for rule in rules:
        if rule.is_broken(part):
            raise PlanRefused(rule.path, rule.message)


def _axes(sweep: dict[str, Any], prefix: str) -> Iterator[Axis]:
    """The leaves of `spec.sweep` with dotted names, sorted."""
    for key, values in sorted(sweep.items()):
        name = f"{prefix}{key}"
        if isinstance(values, dict):
            yield from _axes(values, f"{name}.")
        elif isinstance(values, list | tuple) and len(values) > AXIS_LENGTH:
            raise PlanRefused(f"spec.sweep.{name}", f"{len(values)} values are more than {AXIS_LENGTH}")
        elif isinstance(values, list | tuple) and values:
            yield name, tuple(values)
        else:
            raise PlanRefused(f"spec.sweep.{name}", "write a list of at least one value to try")


def _point(spec: Spec, count: int, knobs: Knobs) -> Point:
    # Booleans as in YAML and JSON.
    words = (f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in knobs)
    label = ",".join([f"devices={count}", *words])
    if len(label) > LABEL_CHARACTERS:
        raise PlanRefused("spec.sweep", f"the label {label} is longer than {LABEL_CHARACTERS} characters")
    pods = max(1, count // spec.devices.per_pod)
    config = _scaled(spec, count, _config(spec, knobs))
    _refuse_unfit(config, count, spec)
    return Point(label, count, pods, count // pods, config)


def _config(spec: Spec, knobs: Knobs) -> TrainerConfig:
    """`spec.trainer` with the knobs of one cell of the grid."""
    document = spec.trainer.document()
    for name, value in knobs:
        *folders, leaf = name.split(".")
        place = document
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise PlanRefused(f"spec.sweep.{name}", f"{folder} has no fields of its own")
        place[leaf] = value
    try:
        return TrainerConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(["spec.sweep", *(str(part) for part in first["loc"])])
        raise PlanRefused(path, f"{first['msg']}, not {first['input']!r}") from None


def _scaled(spec: Spec, count: int, config: TrainerConfig) -> TrainerConfig:
    """The config with globalBatchSize grown with the devices under Weak scaling, from the smallest count on.

    Counts ascend, so that a batch that does not divide over the smallest was refused before it is scaled.
    """
    if spec.scaling is Scaling.STRONG:
        return config
    size = config.global_batch_size * count // min(spec.devices.counts)
    try:
        return TrainerConfig.model_validate({**config.document(), "globalBatchSize": size})
    except ValidationError:
        sentence = f"{size} images for {count} devices are more than the trainer takes"
        raise PlanRefused(_written("globalBatchSize", spec), sentence) from None


def _refuse_unfit(config: TrainerConfig, count: int, spec: Spec) -> None:
    """Raises PlanRefused for what no device of this kind could run."""
    try:
        division(config, count)
    except ValueError as error:
        raise PlanRefused(_written("globalBatchSize", spec), str(error)) from None
    if clash := unsupported_together(config):
        raise PlanRefused(_written(clash.field, spec), clash.sentence)
    pods = max(1, count // spec.devices.per_pod)
    if unfit := unsupported_for_pods(config, pods):
        raise PlanRefused(_written(unfit.field, spec), unfit.sentence)
    unfit = unsupported_for_cpu(config) if spec.devices.resource is None else None
    if unfit is not None:
        raise PlanRefused(_written(unfit.field, spec), f"{unfit.sentence}; for GPUs name devices.resource")


def _written(knob: str, spec: Spec) -> str:
    """The path at which the person wrote a knob: its axis, or the knob."""
    swept = any(name == knob for name, _ in _axes(spec.sweep or {}, ""))
    return f"spec.{'sweep' if swept else 'trainer'}.{knob}"


def _refuse_duplicates(points: tuple[Point, ...]) -> None:
    """Raises PlanRefused for two equal Points, which would be measured twice and shown as if they differed."""
    seen: dict[tuple[int, str], str] = {}
    for point in points:
        key = (point.devices, point.config.model_dump_json())
        if key in seen:
            raise PlanRefused("spec.sweep", f"{point.label} and {seen[key]} are the same configuration")
        seen[key] = point.label
