"""Words the result of a Benchmark: the table's cells, the headline and the state, for the terminal and the page."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.spec_projection import Projection
from sdbench.api.status import ConditionType, PointRow, TrialPhase
from sdbench.core.format import SECONDS_PER_HOUR, percent
from sdbench.core.status.summary import best_point
from sdbench.core.trial.outcome import measured_count
from sdbench.report.notes import marks, numbered

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A heading, and the function that fills a Point's cell below it."""

    heading: str
    cell: Callable[[PointRow], str]


@dataclass(frozen=True)
class Unmeasured:
    """A Trial without a Measurement, and why."""

    trial: int
    point: str
    repeat: int
    reason: str
    message: str


def number(value: Decimal, places: int | None = None) -> str:
    """The number with thousands separators; without `places` in about four digits, by which people compare."""
    return f"{value:,.{fitting_places(value) if places is None else places}f}"


def fitting_places(value: Decimal) -> int:
    """The decimals that leave about four digits."""
    return 0 if value >= 10_000 else 1 if value >= 100 else 2 if value >= 1 else 3


def or_dash(value: Decimal | None, form: Callable[[Decimal, int], str], places: int) -> str:
    """The formatted value, or a dash if there is none."""
    return NOTHING if value is None else form(value, places)


def images_per_second(row: PointRow) -> str:
    """The mean, with half of its 95 % interval if there are repeats."""
    if row.interval_low is None or row.interval_high is None:
        return number(row.images_per_second)
    # Both numbers have the same decimals.
    half = (row.interval_high - row.interval_low) / 2
    return f"{number(row.images_per_second)} ± {number(half, fitting_places(row.images_per_second))}"


def columns(benchmark: Benchmark) -> tuple[Column, ...]:
    """The columns of the published table that this project starts from, and those that explain them."""
    points, notes = benchmark.status.points, numbered(benchmark)
    priced = benchmark.spec.devices.hourly_price > 0
    # A column that would be empty for every Point is left out.
    swept = any(variant(row.point) for row in points)
    repeated = any(row.median_coefficient_of_variation is not None for row in points)
    has_peak = any(row.mfu_ratio is not None for row in points)
    every = (
        (True, Column("Devices", lambda row: f"{row.devices:,}")),
        (swept, Column("Point", lambda row: variant(row.point) or NOTHING)),
        (True, Column("Images/s", images_per_second)),
        (True, Column("Per device", lambda row: number(row.images_per_second_per_device))),
        (True, Column("Efficiency", lambda row: percent(row.scaling_efficiency))),
        (True, Column("Days", lambda row: or_dash(row.days, number, 2))),
        (True, Column("Device-hours", lambda row: or_dash(row.device_hours, number, 0))),
        (True, Column("Cost", lambda row: or_dash(row.cost if priced else None, number, 0))),
        (True, Column("Data wait", lambda row: percent(row.data_wait_ratio_max))),
        (repeated, Column("CV", lambda row: or_dash(row.median_coefficient_of_variation, percent, 2))),
        (has_peak, Column("MFU", lambda row: or_dash(row.mfu_ratio, percent, 1))),
        (bool(notes), Column("Note", lambda row: marks(row, notes) or NOTHING)),
    )
    return tuple(column for shown, column in every if shown)


def variant(point: str) -> str:
    """A Point's label without its device count: the values that a sweep varies."""
    return ", ".join(part for part in point.split(",") if not part.startswith("devices="))


def rows(benchmark: Benchmark) -> tuple[PointRow, ...]:
    """The measured Points by device count."""
    return tuple(sorted(benchmark.status.points, key=lambda row: (row.devices, row.point)))


def scaling_cells(benchmark: Benchmark) -> tuple[list[str], list[tuple[str, ...]]]:
    """The headings of the table, and its body."""
    shown = columns(benchmark)
    body = [tuple(column.cell(row) for column in shown) for row in rows(benchmark)]
    return [column.heading for column in shown], body


def unmeasured(benchmark: Benchmark) -> tuple[Unmeasured, ...]:
    """The Trials that lack a Measurement, in the plan's order."""
    found = []
    for row in benchmark.status.trials:
        if row.phase is TrialPhase.FAILED:
            reason = (row.reason or Reason.UNKNOWN).value
            found.append(Unmeasured(row.trial, row.point, row.repeat, reason, row.message))
        # A skipped Trial was not needed, so nothing is missing.
        elif row.phase not in (TrialPhase.SUCCEEDED, TrialPhase.SKIPPED):
            message = row.message or "It has not ended yet."
            found.append(Unmeasured(row.trial, row.point, row.repeat, row.phase.value, message))
    return tuple(found)


def complete(benchmark: Benchmark) -> bool:
    """Whether every Point was measured."""
    found = benchmark.status.true_condition(ConditionType.COMPLETE)
    return found is not None and found.reason == Reason.MEASURED


def state(benchmark: Benchmark) -> str:
    """The state of the Benchmark in a few words; the failures of single Trials are listed elsewhere."""
    status = benchmark.status
    end = status.end
    # A refused plan has no rows, and only its condition says why.
    if end is not None and not status.trials:
        return f"{end.reason}: {end.message}"
    return f"{end.reason if end else status.phase.value}: {measured_count(status.trials)}."


def headline(benchmark: Benchmark) -> str:
    """The result in a sentence, for the best Point."""
    if not benchmark.status.points:
        return "Nothing was measured." if benchmark.status.end else "Nothing was measured yet."
    best = best_point(benchmark.status.points)
    devices = "1 device trains" if best.devices == 1 else f"{best.devices:,} devices train"
    rate = f"{devices} {number(best.images_per_second)} images/s"
    training = f"a full training on {extent(benchmark.spec.projection)}"
    if best.days is None:
        return f"{rate}: how long {training} takes is not known."
    priced = best.cost is not None and benchmark.spec.devices.hourly_price > 0
    cost = f" and cost {or_dash(best.cost, number, 0)}" if priced else ""
    return f"{rate}: {training} would take {number(best.days, 2)} days{cost}."


def extent(projection: Projection) -> str:
    """The size of the full training, as in `2.867 billion images`, with its stages if it has any."""
    if not projection.stages:
        return f"{images(projection.total_images)} images"
    parts = ", then ".join(f"{images(stage.images)} at {stage.image_size} px" for stage in projection.stages)
    return f"{images(projection.total_images)} images ({parts})"


def projection_messages(benchmark: Benchmark) -> tuple[str, ...]:
    """The reasons why Points have no days, each once."""
    return tuple(dict.fromkeys(row.projection_message for row in rows(benchmark) if row.projection_message is not None))


def spent(benchmark: Benchmark) -> str:
    """The cost of the benchmark itself, in a sentence; empty while it is nothing."""
    seconds, priced = benchmark.status.spent_device_seconds, benchmark.spec.devices.hourly_price > 0
    if not seconds:
        return ""
    cost = f" and cost {number(benchmark.status.spent_cost, 2)}" if priced else ""
    return f"The benchmark itself took {number(Decimal(seconds) / SECONDS_PER_HOUR, 2)} device-hours{cost}."


def images(count: int) -> str:
    """A number of images as people say it."""
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if count >= unit:
            return f"{Decimal(count) / unit:.4g} {name}"
    return f"{count:,}"
