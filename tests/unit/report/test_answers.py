"""Tests that the numbers and sentences of a report are those of the status."""

import json
from decimal import Decimal
from typing import Any, Literal

import pytest

from page import sample
from sdbench.api.benchmark import Benchmark
from sdbench.api.spec_gate import Gate
from sdbench.api.spec_projection import Projection
from sdbench.api.status import Phase, Status
from sdbench.api.status_gate import FindingRow, GateRow, Limit, Verdict
from sdbench.core.format import percent
from sdbench.report.answers import complete, headline, images, number, spent, state
from sdbench.report.render import rendered
from sdbench.report.scaling_lines import scaling_fit_sentences

MEANING = "At 256 devices 38 % of a step is the constant, which no device shortens."
TABLE = f"""\
a100-scaling  Measured: 6 of 6 Points are measured.
Devices       Images/s  Per device  Efficiency    Days  Device-hours     Cost  Data wait      CV
────────────────────────────────────────────────────────────────────────────────────────────────
      8    128.2 ± 1.1       16.02     100.0 %  258.83        49,696   99,392      1.2 %  0.21 %
     16    254.0 ± 1.1       15.88      99.1 %  130.63        50,166  100,332      1.2 %  0.11 %
     32    485.7 ± 1.1       15.18      94.7 %   68.33        52,470  104,940      1.2 %  0.06 %
     64    912.2 ± 1.1       14.25      88.9 %   36.38        55,875  111,750      1.2 %  0.03 %
    128  1,618.4 ± 1.1       12.64      78.9 %   20.50        62,987  125,974      1.2 %  0.02 %
    256  2,589.4 ± 1.1       10.11      63.1 %   12.83        78,735  157,470      1.2 %  0.01 %
step = 0.0609 s × images per device + 0.302 s, within 0.5 % over 6 counts. {MEANING}
256 devices train 2,589.4 images/s: a full training on 2.867 billion images would take 12.83 days and cost 157,470.
The benchmark itself took 336.00 device-hours and cost 672.00.
"""


def lines(benchmark: Benchmark) -> list[str]:
    return [line.rstrip() for line in rendered(benchmark, "table").splitlines()]


def test_the_table_shows_the_published_numbers() -> None:
    assert lines(sample.complete()) == TABLE.splitlines()


def test_each_note_is_printed_once_and_numbered_beside_its_points() -> None:
    output = lines(sample.noted())
    assert [line.split()[-1] for line in output[3:9]] == ["1", "2", "3", "4", "–", "5"]
    assert output[6].endswith("1, 4")
    notes = [line for line in output if line.startswith("Note ")]
    assert notes[0].startswith("Note 1: 2 of 3 repeats were disturbed: ")
    assert notes[1] == (
        f"Note 2: The repeats ran in different environments and cannot be compared: device (A100 / {sample.HOSTILE})."
    )
    assert notes[2] == (
        "Note 3: The batch does not divide: asked 2048, runs 2016: 21 on each device, in 6 microbatches, the last of 1."
    )
    assert notes[3].startswith("Note 4: 1 unreadable sample was replaced by others.")
    assert notes[4].startswith("Note 5: 1,200 unreadable samples were replaced by others.")


def test_points_with_different_devices_or_images_get_a_note() -> None:
    whole = sample.complete()
    (one,) = whole.status.environments
    other = one.model_copy(update={"device": "H100", "image_id": "sha256:f"})
    status = whole.status.model_copy(update={"environments": (one, other)})
    notes = [line for line in lines(whole.model_copy(update={"status": status})) if line.startswith("Note: ")]
    assert len(notes) == 2
    assert "(NVIDIA A100-SXM4-40GB / H100)" in notes[0]
    assert "the same image" in notes[1]
    assert not [line for line in lines(whole) if line.startswith("Note: ")]


def test_mfu_is_shown_if_it_is_known() -> None:
    output = lines(sample.noted())
    assert "MFU" in output[1]
    assert "35.1 %" in output[4]
    assert "MFU" not in lines(sample.complete())[1]


def test_without_repeats_there_is_no_cv() -> None:
    assert "CV" not in lines(sample.partly())[1]


NEGATIVE = {"constant_seconds": "-0.01", "seconds_per_image": "0.5"}
FITS = [
    ("a constant longer than the step", {"constant_seconds": "9"}, "+ 9 s, within 0.5 % over 6 counts."),
    ("a negative constant", NEGATIVE, "step = 0.5 s × images per device − 0.01 s, within 0.5 % over 6 counts."),
]


@pytest.mark.parametrize(("changes", "output"), [row[1:] for row in FITS], ids=[row[0] for row in FITS])
def test_a_constant_without_a_meaning_is_not_explained(changes: dict[str, str], output: str) -> None:
    whole = sample.complete()
    odd = tuple(fit.model_copy(update=changes) for fit in whole.status.scaling_fits)
    (sentence,) = scaling_fit_sentences(
        whole.model_copy(update={"status": whole.status.model_copy(update={"scaling_fits": odd})})
    )
    assert sentence.endswith(output)


def test_a_benchmark_that_has_cost_nothing_prints_no_cost() -> None:
    assert spent(sample.benchmark(Status())) == ""


def test_an_unmeasured_trial_is_listed_below_the_table_with_its_reason() -> None:
    output = lines(sample.partly("Lower [bold]deviceMicrobatchSize[/]."))
    assert "Trial 2 (devices=32, repeat 0): OutOfMemoryDevice. Lower [bold]deviceMicrobatchSize[/]." in output, (
        "the sentence is text, not markup"
    )
    assert output[0] == "partly  PartlyMeasured: 2 of 3 Points are measured."


def test_a_running_benchmark_without_points_has_a_headline_and_no_table() -> None:
    running = sample.benchmark(Status(phase=Phase.RUNNING, trials=(sample.trial(0, 8),)))
    assert headline(running) == "Nothing was measured yet."
    assert state(running) == "Running: 1 of 1 Points are measured."
    assert "Devices" not in rendered(running, "table")


def test_a_free_device_has_no_cost() -> None:
    paid = sample.complete()
    devices = paid.spec.devices.model_copy(update={"hourly_price": Decimal(0)})
    free = paid.model_copy(update={"spec": paid.spec.model_copy(update={"devices": devices})})
    assert "cost" not in headline(free)
    assert "99,392" not in rendered(free, "table")


def test_the_points_of_a_sweep_are_labelled() -> None:
    swept = sample.complete()
    rows = tuple(row.model_copy(update={"point": f"{row.point},seed=3"}) for row in swept.status.points)
    swept = swept.model_copy(update={"status": swept.status.model_copy(update={"points": rows})})
    assert "seed=3" in rendered(swept, "table")


def test_no_cell_is_cut_however_long_the_labels_are() -> None:
    whole = sample.complete()
    label = "devices=8,deviceMicrobatchSize=4,ema.enabled=false,ema.smoothing=0.9999,window.warmupBatches=20"
    points = tuple(point.model_copy(update={"point": label}) for point in whole.status.points)
    shown = rendered(whole.model_copy(update={"status": whole.status.model_copy(update={"points": points})}), "table")
    assert "…" not in shown
    assert shown.count("window.warmupBatches=20") == len(points)


def test_json_keeps_the_decimal_strings_and_the_reasons() -> None:
    document = json.loads(rendered(sample.partly(), "json"))
    assert document["complete"] is False
    assert document["points"][0]["imagesPerSecond"] == "128.2"
    assert document["points"][0]["notes"] == []
    assert [row["reason"] for row in document["unmeasured"]] == ["OutOfMemoryDevice"]
    whole = json.loads(rendered(sample.complete(), "json"))
    assert (whole["complete"], whole["spentDeviceSeconds"], whole["spentCost"]) == (True, 1_209_600, "672")
    assert whole["scalingFits"][0]["constantSeconds"].startswith("0.30")
    assert "asked 2048, runs 2016" in json.loads(rendered(sample.noted(), "json"))["points"][2]["notes"][0]


def test_only_a_benchmark_with_every_point_is_complete() -> None:
    assert complete(sample.complete())
    assert not complete(sample.partly())
    assert not complete(sample.benchmark(Status()))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.12345", "0.123"), ("9.876", "9.88"), ("128.2", "128.2"), ("9999.96", "10,000.0"), ("49696.65", "49,697")],
)
def test_a_number_shows_about_four_digits(value: str, shown: str) -> None:
    assert number(Decimal(value)) == shown


def test_an_efficiency_above_one_is_not_clamped() -> None:
    assert percent(Decimal("1.034")) == "103.4 %"


@pytest.mark.parametrize(
    ("count", "output"), [(2_867_200_000, "2.867 billion"), (1_000_000, "1 million"), (12_345, "12,345")]
)
def test_a_number_of_images_is_written_as_people_say_it(count: int, output: str) -> None:
    assert images(count) == output


def gated(verdict: GateRow | None) -> Benchmark:
    """The complete sample with a gate and this verdict."""
    whole = sample.complete()
    gate = Gate.model_validate({"minScalingEfficiency": "0.60", "maxDays": "20", "devices": [256]})
    spec = whole.spec.model_copy(update={"gate": gate})
    return whole.model_copy(update={"spec": spec, "status": whole.status.model_copy(update={"gate": verdict})})


FINDING = FindingRow(
    limit=Limit.DAYS,
    point="devices=256",
    verdict=Verdict.FAIL,
    value="12.83",
    bound="10",
    message="Days of devices=256 is 12.83: the gate asks for at most <10>",
)


def test_the_verdict_and_the_findings_are_printed_below_the_headline() -> None:
    passed = gated(GateRow(verdict=Verdict.PASS, passed=2, message="Every limit holds: 2 findings"))
    assert lines(passed)[-1] == "Gate: Pass (2 passed, 0 failed, 0 lack data). Every limit holds: 2 findings"
    failed = gated(GateRow(verdict=Verdict.FAIL, passed=1, failed=18, findings=(FINDING,)))
    assert lines(failed)[-3:] == [
        "Gate: Fail (1 passed, 18 failed, 0 lack data)",
        "  Fail: Days of devices=256 is 12.83: the gate asks for at most <10>",
        "  and 17 more findings that did not pass.",
    ]
    assert lines(gated(None))[-1] == "Gate: not judged yet."
    assert not [line for line in lines(sample.complete()) if "Gate" in line]


def test_the_verdict_is_in_the_document_and_on_the_page() -> None:
    failed = gated(GateRow(verdict=Verdict.FAIL, failed=1, findings=(FINDING,)))
    assert json.loads(rendered(failed, "json"))["gate"]["findings"] == [FINDING.document()]
    assert json.loads(rendered(sample.complete(), "json"))["gate"] is None
    page = rendered(failed, "html")
    assert "Asked for at 256 devices: ScalingEfficiency at least 0.60, Days at most 20." in page
    assert "the gate asks for at most &lt;10&gt;" in page
    assert "<h2>Gate</h2>" not in rendered(sample.complete(), "html")


STAGES = Projection.model_validate(
    {
        "stages": [
            {"images": 1_500_000_000, "imageSize": 256, "benchmark": "small"},
            {"images": 5_000_000, "imageSize": 512},
        ]
    }
)


def staged(**changes: Any) -> Benchmark:
    """The complete sample projected in two stages, with changed Points."""
    whole = sample.complete()
    points = tuple(point.model_copy(update=changes) for point in whole.status.points)
    return whole.model_copy(
        update={
            "spec": whole.spec.model_copy(update={"projection": STAGES}),
            "status": whole.status.model_copy(update={"points": points}),
        }
    )


@pytest.mark.parametrize("form", ["table", "html"])
def test_the_report_names_the_size_of_the_full_training(form: Literal["table", "html"]) -> None:
    output = "1.505 billion images (1.5 billion at 256 px, then 5 million at 512 px)"
    assert output in rendered(staged(), form)
    assert "2.867 billion images" in rendered(sample.complete(), form)


def test_an_unknown_projection_is_a_dash_and_a_sentence() -> None:
    why = "The rate of stage 1 (256 px) is unknown: Benchmark small does not exist"
    unknown = staged(days=None, device_hours=None, cost=None, projection_message=why)
    output = lines(unknown)
    assert output.count(why) == 1, "once, although every Point has it"
    assert "how long a full training on 1.505 billion images" in output[output.index(why) - 1]
    assert output[3].split()[6:10] == ["%", "–", "–", "–"]
    assert why in rendered(unknown, "html")
    document = json.loads(rendered(unknown, "json"))
    assert document["points"][0]["projectionMessage"] == why
    assert "days" not in document["points"][0]
    assert (document["projectionImages"], len(document["projectionStages"])) == (1_505_000_000, 2)
