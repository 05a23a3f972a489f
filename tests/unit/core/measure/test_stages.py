"""Tests that each stage of a projection gets its own rate, or says why it has none."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec_projection import IMAGES, Projection
from sdbench.core.measure.environments import RunEnvironment
from sdbench.core.measure.projection import OwnRate, Stage, stages_of
from sdbench.core.measure.references import ReferenceUnavailable, lookup
from sdbench.core.plan.grid import Point, trials
from sdbench.core.snapshot import Reference
from unit.core.gate.gates import answer, asked, environment, row
from unit.core.worlds import spec

RATE = Decimal(100)
OWN = OwnRate(RATE, (RunEnvironment("A100", "sha256:1", ()),))


def point(label: str = "devices=1", **changes: Any) -> Point:
    """A Point of a plan that measures 512 px on one device."""
    planned = trials(asked(**changes))
    return next(trial.point for trial in planned if trial.point.label == label)


def projected(
    document: dict[str, Any], of: Point | None = None, others: dict[str, Benchmark] | None = None
) -> tuple[Stage, ...]:
    references = tuple(Reference(name, found) for name, found in (others or {}).items())
    return stages_of(Projection.model_validate(document), of or point(), OWN, lookup(references))


def small(*rows: Any, **changes: Any) -> Benchmark:
    """A finished Benchmark at 256 px."""
    sized = changes.pop("trainer", {"imageSize": 256})
    on = changes.pop("on", None)
    return answer(asked(trainer=sized, **changes), *rows, on=on, name="small")


def test_the_default_is_the_published_training_at_the_points_own_rate() -> None:
    assert projected({}) == (Stage(IMAGES, RATE),)
    assert Projection().total_images == IMAGES == 2_867_200_000


def test_images_alone_are_one_stage() -> None:
    assert projected({"images": 5}) == (Stage(5, RATE),)


def test_each_stage_has_its_own_rate() -> None:
    stages = [
        {"images": 10, "imageSize": 256, "benchmark": "small"},
        {"images": 20, "imageSize": 512},
        {"images": 30, "imageSize": 768, "rateRatio": "0.4"},
    ]
    found = projected({"stages": stages}, others={"small": small(row(rate="290"))})
    assert found == (Stage(10, Decimal(290)), Stage(20, RATE), Stage(30, Decimal(40)))
    assert Projection.model_validate({"stages": stages}).total_images == 60


FROM_SMALL = {"stages": [{"images": 10, "imageSize": 256, "benchmark": "small"}]}


def test_of_several_points_the_one_with_the_same_knobs_is_used() -> None:
    swept = {"deviceMicrobatchSize": [1, 2]}
    rows = [row(rate=rate, point=f"devices=1,deviceMicrobatchSize={size}") for size, rate in ((1, "210"), (2, "220"))]
    mine = point("devices=1,deviceMicrobatchSize=2", sweep=swept)
    assert projected(FROM_SMALL, mine, {"small": small(*rows, sweep=swept)}) == (Stage(10, Decimal(220)),)


def test_the_only_point_of_that_count_and_size_is_used_whatever_its_knobs() -> None:
    swept = {"imageSize": [256, 512]}
    rows = [row(rate=rate, point=f"devices=1,imageSize={size}") for size, rate in ((256, "290"), (512, "90"))]
    assert projected(FROM_SMALL, others={"small": small(*rows, sweep=swept)}) == (Stage(10, Decimal(290)),)


UNKNOWN: dict[str, tuple[dict[str, Benchmark], str]] = {
    "it does not exist": ({}, "Benchmark small does not exist"),
    "it has another image size": (
        {"small": small(row(), trainer={"imageSize": 512})},
        "has not measured tiny on 1 devices",
    ),
    "it has another model": (
        {"small": small(row(), trainer={"imageSize": 256, "model": "sd2-base"})},
        "has not measured tiny on 1 devices at 256 px",
    ),
    "it has another device count": ({"small": small(row(2), counts=(2,))}, "has not measured tiny on 1 devices"),
    "it was disturbed": ({"small": small(row(disturbed_repeats=1))}, "disturbed"),
    "it ran on another device": (
        {"small": small(row(), on={"devices=1": environment(device="H100")})},
        "of devices=1 in Benchmark small, it ran on H100, the other on A100",
    ),
    "it is partly measured": ({"small": small(row(repeats=1))}, "1 of 3 repeats"),
    "it has several Points": (
        {
            "small": small(
                *(row(point=f"devices=1,deviceMicrobatchSize={size}") for size in (1, 2)),
                sweep={"deviceMicrobatchSize": [1, 2]},
            )
        },
        "has 2 Points of tiny on 1 devices at 256 px, and none is called devices=1",
    ),
}


@pytest.mark.parametrize(("others", "said"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_rate_names_the_stage_and_says_why(others: dict[str, Benchmark], said: str) -> None:
    with pytest.raises(ReferenceUnavailable, match=r"^The rate of stage 1 \(256 px\) is unknown: ") as error:
        projected(FROM_SMALL, others=others)
    assert said in str(error.value)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "both ways": ({"images": 1, "stages": [{"images": 1, "imageSize": 64}]}, "set images or stages, not both"),
    "two sources": (
        {"stages": [{"images": 1, "imageSize": 64, "benchmark": "a", "rateRatio": "2"}]},
        "set benchmark or rateRatio, not both",
    ),
    "a ratio of zero": ({"stages": [{"images": 1, "imageSize": 64, "rateRatio": "0.0"}]}, "must be above 0"),
    "no stage": ({"stages": []}, "at least 1 item"),
}


@pytest.mark.parametrize(("document", "said"), WRONG.values(), ids=WRONG.keys())
def test_an_invalid_projection_is_rejected(document: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(projection=document)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({}, "write at least one limit"),
        ({"devices": [1]}, "write at least one limit"),
        ({"baseline": {"name": "a", "maxRegression": "2"}}, "below 1"),
        ({"maxDataWaitRatio": "5"}, "must be at least 0 and at most 1"),
        ({"minMfu": "40"}, "must be at least 0 and at most 1"),
        ({"maxDays": "NaN"}, "decimal string"),
        ({"maxDays": 3}, "decimal string"),
        ({"maxDays": "-1"}, "decimal string"),
        ({"baseline": {"maxRegression": "0.1"}}, "Field required"),
        ({"minSpeed": "1"}, "Extra inputs"),
    ],
)
def test_an_invalid_gate_is_rejected(gate: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(gate=gate)
