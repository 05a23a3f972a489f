"""Tests the rows of Points, and the Benchmark's summary in one line."""

from decimal import Decimal
from typing import Any

from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, PointRow, TrialPhase, TrialRow
from sdbench.core.budget import Spent
from sdbench.core.measure.points import point_rows
from sdbench.core.plan.grid import plan
from sdbench.core.status.summary import summary
from sdbench.core.trial.row import planned_row, row_measurement
from sdbench_trainer.report import BatchTruth, StepSeconds
from unit.core.worlds import report, spec


def rows(asked: Spec, rates: dict[int, float]) -> tuple[TrialRow, ...]:
    """The plan's rows: measured if they have a rate here, else failed."""
    made = []
    for trial in plan(asked):
        measured = report("any", rates[trial.index]).measurement if trial.index in rates else None
        changes = {"phase": TrialPhase.FAILED, "reason": Reason.CRASHED}
        if measured is not None:
            changes = {"phase": TrialPhase.SUCCEEDED, "measurement": row_measurement(measured)}  # type: ignore[dict-item]
        made.append(planned_row(trial).model_copy(update=changes))
    return tuple(made)


def priced(**changes: Any) -> Spec:
    devices = {"counts": [8, 16], "perPod": 8, "hourlyPrice": "2.00", **changes.pop("devices", {})}
    images = {"images": 2_867_200_000}
    return spec(devices=devices, trainer={"globalBatchSize": 64}, projection=images, **changes)


def test_efficiency_days_and_cost_of_the_published_tables_first_rows() -> None:
    asked = priced()
    small, large = point_rows(rows(asked, {0: 128.2, 1: 254.0}), plan(asked), asked)
    assert (small.scaling_efficiency, large.scaling_efficiency) == (Decimal(1), Decimal("0.99064"))
    assert (small.images_per_second_per_device, large.images_per_second_per_device) == (
        Decimal("16.025"),
        Decimal("15.875"),
    )
    assert small.days is not None
    assert small.cost is not None
    assert round(small.days, 2) == Decimal("258.85")
    assert small.device_hours == round(Decimal(2_867_200_000) / Decimal("128.2") / 3_600 * 8, 6)
    assert round(small.cost) == 99_400
    assert (small.global_batch_size, small.device_microbatch_size) == (64, 2)
    assert small.standard_deviation is None


def test_repeats_are_averaged_with_their_spread() -> None:
    asked = priced(repeats={"min": 3})
    measured = rows(asked, {0: 100.0, 2: 102.0, 4: 104.0, 1: 200.0})
    small, large = point_rows(measured, plan(asked), asked)
    assert (small.repeats, small.images_per_second) == (3, Decimal(102))
    assert small.standard_deviation == 2
    assert small.coefficient_of_variation == Decimal("0.019608")
    assert (small.interval_low, small.interval_high) == (Decimal("97.031725"), Decimal("106.968275"))
    assert (large.repeats, large.coefficient_of_variation) == (1, None)


REPEATS = priced(repeats={"min": 3}, devices={"counts": [8]})


def repeats(*changes: dict[str, Any]) -> PointRow:
    """The row of one Point that has one repeat for each of these changes of a Report."""
    made = []
    for trial, change in zip(plan(REPEATS), changes, strict=True):
        found = report("any", **change).measurement
        assert found is not None
        update = {"phase": TrialPhase.SUCCEEDED, "measurement": row_measurement(found)}
        made.append(planned_row(trial).model_copy(update=update))
    (row,) = point_rows(tuple(made), plan(REPEATS), REPEATS)
    return row


def test_the_spread_of_medians_is_that_of_the_medians_and_not_of_the_means() -> None:
    medians = (99.0, 100.0, 101.0)
    row = repeats(*({"images_per_second": 50.0, "median_images_per_second": median} for median in medians))
    assert (row.images_per_second, row.coefficient_of_variation) == (Decimal(50), Decimal(0))
    assert (row.median_images_per_second, row.median_standard_deviation) == (Decimal(100), Decimal(1))
    assert row.median_coefficient_of_variation == Decimal("0.01")


def test_a_point_shows_the_worst_of_its_repeats() -> None:
    steps = StepSeconds(p5=1, p50=2, p95=3)
    row = repeats(
        {"drift_ratio": 0.01, "rank_skew_ratio": 1.5, "data_wait_ratio_max": 0.1, "step_seconds": steps},
        {"drift_ratio": -0.02, "device_memory_peak_bytes": 7, "host_memory_peak_bytes": 9, "step_seconds": steps},
        {"disturbed": True, "replaced_samples": 2, "step_seconds": StepSeconds(p5=1, p50=5, p95=6)},
    )
    assert (row.drift_ratio, row.rank_skew_ratio_max, row.data_wait_ratio_max) == (
        "-0.02",
        Decimal("1.5"),
        Decimal("0.1"),
    )
    assert (row.device_memory_peak_bytes, row.host_memory_peak_bytes) == (7, 1_000_000)
    assert (row.disturbed_repeats, row.replaced_samples, row.step_seconds_p50) == (1, 2, Decimal(3))


def test_a_ragged_batch_is_shown_as_requested_and_as_run() -> None:
    asked = spec(devices={"counts": [3]}, trainer={"allowRaggedBatch": True})
    (row,) = point_rows(rows(asked, {0: 10.0}), plan(asked), asked)
    assert (row.requested_global_batch_size, row.global_batch_size, row.per_device) == (8, 6, 2)
    assert (row.device_microbatch_size, row.microbatches) == (2, 1)


def test_an_automatic_microbatch_is_shown_as_it_was_run() -> None:
    devices = {"counts": [1], "resource": "nvidia.com/gpu"}
    asked = spec(devices=devices, trainer={"automaticMicrobatch": True, "globalBatchSize": 8})
    found = report("any", 10.0)
    assert found.measurement is not None
    batch = BatchTruth(requested_global_batch_size=8, global_batch_size=8, per_device=8, microbatches=2)
    update = {"phase": TrialPhase.SUCCEEDED, "measurement": row_measurement(found.measurement, batch)}
    (row,) = point_rows((planned_row(plan(asked)[0]).model_copy(update=update),), plan(asked), asked)
    assert (row.device_microbatch_size, row.microbatches) == (4, 2)


def test_repeats_on_different_devices_are_mixed() -> None:
    asked = spec(devices={"counts": [1]}, repeats={"min": 2})
    environment = report("any").environment
    assert environment is not None
    seen = tuple(EnvironmentRow(image_id="", **{**environment.model_dump(), "device": name}) for name in "AB")
    apart = tuple(row.model_copy(update={"environment": row.trial}) for row in rows(asked, {0: 1.0, 1: 1.0}))
    (row,) = point_rows(apart, plan(asked), asked, environments=seen)
    assert row.mixed == "device (A / B)"


def test_efficiency_is_not_clamped() -> None:
    asked = priced()
    assert point_rows(rows(asked, {0: 100.0, 1: 210.0}), plan(asked), asked)[1].scaling_efficiency == Decimal("1.05")


def test_efficiency_compares_with_the_smallest_measured_count() -> None:
    asked = spec(devices={"counts": [1, 2, 4], "perPod": 1})
    made = point_rows(rows(asked, {1: 20.0, 2: 30.0}), plan(asked), asked)
    assert [(row.devices, row.scaling_efficiency) for row in made] == [(2, 1), (4, Decimal("0.75"))]


def test_efficiency_compares_points_with_equal_knobs_only() -> None:
    asked = spec(sweep={"deviceMicrobatchSize": [1, 2]})
    made = point_rows(rows(asked, {0: 10.0, 1: 40.0, 2: 15.0, 3: 40.0}), plan(asked), asked)
    assert {row.point: row.scaling_efficiency for row in made} == {
        "devices=1,deviceMicrobatchSize=1": 1,
        "devices=1,deviceMicrobatchSize=2": 1,
        "devices=2,deviceMicrobatchSize=1": Decimal("0.75"),
        "devices=2,deviceMicrobatchSize=2": Decimal("0.5"),
    }


def test_the_summary_is_the_fastest_point_of_the_largest_measured_count() -> None:
    asked = spec(sweep={"deviceMicrobatchSize": [1, 2]}, devices={"counts": [1, 2], "perPod": 1, "hourlyPrice": "0.5"})
    done = rows(asked, {0: 10.0, 1: 99.0, 2: 15.04, 3: 40.06})
    made = summary(done, point_rows(done, plan(asked), asked), Spent(7_200, Decimal("0.5")))
    assert (made.trials, made.devices, made.images_per_second, made.scaling_efficiency) == ("4/4", 2, "40.1", "0.20")
    assert made.days == "828.39"
    assert made.cost == "19881"
    assert (made.spent_device_hours, made.spent_cost) == ("2.00", "1.00")


def test_a_small_cost_has_cents() -> None:
    asked = spec(devices={"counts": [1], "hourlyPrice": "1"}, projection={"images": 36_000})
    done = rows(asked, {0: 10.0})
    assert summary(done, point_rows(done, plan(asked), asked), Spent(0, Decimal(1))).cost == "1.00"


def test_before_the_first_measurement_the_summary_only_counts() -> None:
    asked = spec()
    made = summary(rows(asked, {}), (), Spent(36_000_000, Decimal(2)))
    assert (made.trials, made.devices, made.images_per_second) == ("2/2", None, None)
    assert (made.spent_device_hours, made.spent_cost) == ("10000.00", "20000")
