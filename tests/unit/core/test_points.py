"""What do measured Trials say about Points, and about the Benchmark in one line?"""

from decimal import Decimal

from sdbench.api.spec import Spec
from sdbench.api.status import Reason, TrialPhase, TrialRow
from sdbench.core.plan import plan
from sdbench.core.points import point_rows, summary
from sdbench.core.rows import planned, row_measurement
from unit.core.worlds import report, spec


def rows(asked: Spec, rates: dict[int, float]) -> tuple[TrialRow, ...]:
    """The plan's rows, those with a rate measured, the others failed."""
    made = []
    for trial in plan(asked):
        measured = report("any", rates[trial.index]).measurement if trial.index in rates else None
        changes = {"phase": TrialPhase.FAILED, "reason": Reason.CRASHED}
        if measured is not None:
            changes = {"phase": TrialPhase.SUCCEEDED, "measurement": row_measurement(measured)}  # type: ignore[dict-item]
        made.append(planned(trial).model_copy(update=changes))
    return tuple(made)


def priced(**changes: object) -> Spec:
    devices = {"counts": [8, 16], "perPod": 8, "hourlyPrice": "2.00"}
    images = {"images": 2_867_200_000}
    return spec(devices=devices, trainer={"globalBatchSize": 64}, projection=images, **changes)


def test_efficiency_days_and_cost_of_the_seeds_first_rows() -> None:
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
    asked = priced(repeats=3)
    measured = rows(asked, {0: 100.0, 2: 102.0, 4: 104.0, 1: 200.0})
    small, large = point_rows(measured, plan(asked), asked)
    assert (small.repeats, small.images_per_second) == (3, Decimal(102))
    assert small.standard_deviation == 2
    assert small.coefficient_of_variation == Decimal("0.019608")
    assert (small.interval_low, small.interval_high) == (Decimal("97.031725"), Decimal("106.968275"))
    assert (large.repeats, large.coefficient_of_variation) == (1, None)


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
    made = summary(done, point_rows(done, plan(asked), asked), 7_200)
    assert (made.trials, made.devices, made.images_per_second, made.scaling_efficiency) == ("4/4", 2, "40.1", "0.20")
    assert made.days == "828.39"
    assert made.cost == "19881"
    assert made.spent_device_hours == "2.00"


def test_a_small_cost_has_cents() -> None:
    asked = spec(devices={"counts": [1], "hourlyPrice": "1"}, projection={"images": 36_000})
    done = rows(asked, {0: 10.0})
    assert summary(done, point_rows(done, plan(asked), asked), 0).cost == "1.00"


def test_before_the_first_measurement_the_summary_counts_only() -> None:
    asked = spec()
    made = summary(rows(asked, {}), (), 0)
    assert (made.trials, made.devices, made.images_per_second) == ("2/2", None, None)
