"""Words an answer: the one source of the table, the page and the form of their numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.spec_projection import Projection
from sdbench.api.status import ConditionType, PointRow, TrialPhase, TrialRow
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.report.notes import marks, numbered

NOTHING = "–"

ANSWERED = {TrialPhase.SUCCEEDED, TrialPhase.SKIPPED}
"""Phases of a Trial that lacks nothing."""


@dataclass(frozen=True)
class Column:
    """A heading, and how a Point fills the cell below it."""

    heading: str
    cell: Callable[[PointRow], str]


@dataclass(frozen=True)
class Unmeasured:
    """A Trial without a Measurement, and why."""

    trial: int
    point: str
    repeat: int
    why: str
    sentence: str


def number(value: Decimal, places: int | None = None) -> str:
    """With thousands separators; without `places` as many digits as a person compares by (four or so)."""
    return f"{value:,.{fitting_places(value) if places is None else places}f}"


def known_number(value: Decimal | None, places: int) -> str:
    """The number, or a dash where there is none."""
    return NOTHING if value is None else number(value, places)


def fitting_places(value: Decimal) -> int:
    """Decimals that leave about four digits."""
    return 0 if value >= 10_000 else 1 if value >= 100 else 2 if value >= 1 else 3


def percent(ratio: Decimal, places: int = 1) -> str:
    """A ratio as a percentage; an efficiency above 100 % is real and stays."""
    return f"{ratio * 100:.{places}f} %"


def images_per_second(row: PointRow) -> str:
    """The mean, with half of its 95 % interval where there are repeats."""
    if row.interval_low is None or row.interval_high is None:
        return number(row.images_per_second)
    half = (row.interval_high - row.interval_low) / 2
    return f"{number(row.images_per_second)} ± {number(half, fitting_places(row.images_per_second))}"


def columns(benchmark: Benchmark) -> tuple[Column, ...]:
    """The columns of the seed's table, and what explains them."""
    priced = benchmark.spec.devices.hourly_price > 0
    point = Column("Point", lambda row: variant(row.point) or NOTHING)
    every = (
        Column("Devices", lambda row: f"{row.devices:,}"),
        *((point,) if any(variant(row.point) for row in benchmark.status.points) else ()),
        Column("Images/s", images_per_second),
        Column("Per device", lambda row: number(row.images_per_second_per_device)),
        Column("Efficiency", lambda row: percent(row.scaling_efficiency)),
        Column("Days", lambda row: known_number(row.days, 2)),
        Column("Device-hours", lambda row: known_number(row.device_hours, 0)),
        Column("Cost", lambda row: known_number(row.cost, 0) if priced else NOTHING),
        Column("Data wait", lambda row: percent(row.data_wait_ratio_max)),
    )
    return (*every, *_where_known(benchmark))


def _where_known(benchmark: Benchmark) -> Iterator[Column]:
    """Columns that would be empty without repeats, without a known peak, without notes."""
    points, notes = benchmark.status.points, numbered(benchmark)
    if any(row.median_coefficient_of_variation is not None for row in points):
        yield Column("CV", lambda row: _ratio(row.median_coefficient_of_variation, 2))
    if any(row.mfu_ratio is not None for row in points):
        yield Column("MFU", lambda row: _ratio(row.mfu_ratio))
    if notes:
        yield Column("Note", lambda row: marks(row, notes) or NOTHING)


def _ratio(value: Decimal | None, places: int = 1) -> str:
    return NOTHING if value is None else percent(value, places)


def variant(point: str) -> str:
    """A Point's label without its device count: what a sweep varies beside the scale."""
    return ", ".join(part for part in point.split(",") if not part.startswith("devices="))


def rows(benchmark: Benchmark) -> tuple[PointRow, ...]:
    """The measured Points by device count."""
    return tuple(sorted(benchmark.status.points, key=lambda row: (row.devices, row.point)))


def cells(benchmark: Benchmark) -> Sequence[tuple[str, ...]]:
    """The table's body."""
    shown = columns(benchmark)
    return tuple(tuple(column.cell(row) for column in shown) for row in rows(benchmark))


def unmeasured(benchmark: Benchmark) -> tuple[Unmeasured, ...]:
    """The Trials that lack a Measurement, in the order of the plan; one that is not needed lacks nothing."""
    rows = (row for row in benchmark.status.trials if row.phase not in ANSWERED)
    return tuple(_unmeasured(row) for row in rows)


def _unmeasured(row: TrialRow) -> Unmeasured:
    ended = row.phase is TrialPhase.FAILED
    why = (row.reason or Reason.UNKNOWN).value if ended else row.phase.value
    return Unmeasured(row.trial, row.point, row.repeat, why, row.message or ("" if ended else "It has not ended yet."))


def complete(benchmark: Benchmark) -> bool:
    """Whether every Point was measured."""
    found = benchmark.status.true_condition(ConditionType.COMPLETE)
    return found is not None and found.reason == Reason.MEASURED


def state(benchmark: Benchmark) -> str:
    """In a few words where the Benchmark stands; why a Trial failed is told for each Trial, not here."""
    status = benchmark.status
    rows, end = status.trials, status.end
    if end is not None and not rows:
        return f"{end.reason}: {end.message}"
    points = {row.point for row in rows}
    measured = {row.point for row in rows if row.phase is TrialPhase.SUCCEEDED}
    return f"{end.reason if end else status.phase.value}: {len(measured)} of {len(points)} Points are measured."


def headline(benchmark: Benchmark) -> str:
    """The answer in a sentence, for the largest measured count's fastest Point."""
    if not benchmark.status.points:
        return "Nothing was measured." if benchmark.status.end else "Nothing was measured yet."
    best = max(benchmark.status.points, key=lambda row: (row.devices, row.images_per_second))
    devices = "1 device" if best.devices == 1 else f"{best.devices:,} devices"
    trains = "trains" if best.devices == 1 else "train"
    return f"{devices} {trains} {number(best.images_per_second)} images/s: {_full_training(best, benchmark)}."


def _full_training(row: PointRow, benchmark: Benchmark) -> str:
    training = f"a full training on {extent(benchmark.spec.projection)}"
    if row.days is None:
        return f"how long {training} takes is not known"
    priced = row.cost is not None and benchmark.spec.devices.hourly_price > 0
    return f"{training} would take {number(row.days, 2)} days" + (
        f" and cost {known_number(row.cost, 0)}" if priced else ""
    )


def extent(asked: Projection) -> str:
    """To what a measurement is extended: as in `2.867 billion images`, with the stages where there are any."""
    if not asked.stages:
        return f"{images(asked.total_images)} images"
    parts = ", then ".join(f"{images(stage.images)} at {stage.image_size} px" for stage in asked.stages)
    return f"{images(asked.total_images)} images ({parts})"


def projection_messages(benchmark: Benchmark) -> tuple[str, ...]:
    """Why Points have no days, each reason once."""
    return tuple(dict.fromkeys(row.projection_message for row in rows(benchmark) if row.projection_message is not None))


def spent(benchmark: Benchmark) -> str:
    """What the benchmark itself has cost, in a sentence; empty while it is nothing."""
    seconds, priced = benchmark.status.spent_device_seconds, benchmark.spec.devices.hourly_price > 0
    if not seconds:
        return ""
    cost = f" and cost {number(benchmark.status.spent_cost, 2)}" if priced else ""
    return f"The benchmark itself took {number(Decimal(seconds) / SECONDS_PER_HOUR, 2)} device-hours{cost}."


def images(count: int) -> str:
    """A number of images as a person says it."""
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if count >= unit:
            return f"{Decimal(count) / unit:.4g} {name}"
    return f"{count:,}"
