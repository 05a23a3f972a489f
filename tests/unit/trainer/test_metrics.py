"""Tests that the served metrics are those of the table, with the right values from before the first step on."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdbench_trainer.measure.metrics import BUCKETS, METRICS, NOTED_STEPS, MetricType, Telemetry
from sdbench_trainer.report import WindowState

MEBIBYTE = 2**20


def series(telemetry: Telemetry) -> dict[str, float]:
    text = generate_latest(telemetry.registry).decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def known() -> Telemetry:
    """The metrics of a run on an accelerator whose peak corresponds to 1000 images/s."""
    telemetry = Telemetry("tiny", device_memory=True)
    telemetry.utilisation(lambda images_per_second: images_per_second / 1000)
    return telemetry


def test_every_metric_is_zero_before_the_first_step() -> None:
    seen = series(known())
    assert seen.pop("sdbench_build_info") == 1
    assert seen.pop("sdbench_host_memory_peak_bytes") > 10 * MEBIBYTE
    assert set(seen.values()) == {0}


def test_the_served_metrics_are_those_of_the_table() -> None:
    served = {name.removesuffix("_sum").removesuffix("_count") for name in series(known())}
    assert served == {metric.name for metric in METRICS}


def test_the_labels_are_those_of_the_table() -> None:
    families = list(known().registry.collect())
    labels = {family.name: {tuple(sample.labels) for sample in family.samples} for family in families}
    histogram = {metric.name for metric in METRICS if metric.kind is MetricType.HISTOGRAM}
    expected = {metric.name.removesuffix("_total"): {metric.labels} for metric in METRICS}
    assert {name: found - ({("le",)} if name in histogram else set()) for name, found in labels.items()} == expected


def test_without_an_accelerator_the_memory_of_the_device_is_absent_instead_of_zero() -> None:
    assert "sdbench_device_memory_peak_bytes" not in series(Telemetry("tiny", device_memory=False))


def test_the_utilisation_follows_the_speed_of_the_last_steps_and_is_absent_if_unknown() -> None:
    telemetry = known()
    for _ in range(3):
        telemetry.step(0.25, 8, waited=0.1, loss=1.5, state=WindowState.MEASURING)
    assert series(telemetry)["sdbench_mfu_ratio"] == 0.032
    telemetry.utilisation(lambda _: None)
    assert "sdbench_mfu_ratio" not in series(telemetry)
    assert "sdbench_mfu_ratio" not in series(Telemetry("tiny", device_memory=False))


def test_the_peak_of_host_memory_is_that_of_this_process_and_never_decreases() -> None:
    telemetry = Telemetry("tiny", device_memory=False)
    before = series(telemetry)["sdbench_host_memory_peak_bytes"]
    ballast = bytearray(int(before) + 50 * MEBIBYTE)
    ballast[::4096] = b"x" * len(ballast[::4096])
    held = series(telemetry)["sdbench_host_memory_peak_bytes"]
    assert held > before + 40 * MEBIBYTE
    del ballast
    assert series(telemetry)["sdbench_host_memory_peak_bytes"] >= held


def test_steps_are_added_up_with_and_without_a_scrape() -> None:
    telemetry = Telemetry("tiny", device_memory=False)
    for _ in range(2 * NOTED_STEPS + 1):
        telemetry.step(0.25, 8, waited=0.1, loss=1.5, state=WindowState.MEASURING)
    seen = series(telemetry)
    assert seen["sdbench_step_duration_seconds_count"] == 2 * NOTED_STEPS + 1
    assert seen["sdbench_images_total"] == 8 * (2 * NOTED_STEPS + 1)
    assert seen["sdbench_images_per_second"] == 32


def test_a_step_counts_in_every_bucket_above_its_duration() -> None:
    telemetry = Telemetry("tiny", device_memory=False)
    for seconds in (BUCKETS[0], 0.3, BUCKETS[-1] + 1):
        telemetry.step(seconds, 8, waited=0.1, loss=1.5, state=WindowState.MEASURING)
    (steps,) = (one for one in telemetry.registry.collect() if one.name == "sdbench_step_duration_seconds")
    found = {sample.labels["le"]: sample.value for sample in steps.samples if sample.name.endswith("_bucket")}
    assert (found["0.01"], found["0.2"], found["0.3"], found["60.0"], found["+Inf"]) == (1, 1, 2, 2, 3)


def test_steps_update_the_counters_and_the_speed() -> None:
    telemetry = Telemetry("tiny", device_memory=True)
    telemetry.step(0.5, 8, waited=0.1, loss=1.5, state=WindowState.WARM_UP)
    telemetry.step(0.25, 8, waited=0.3, loss=1.25, state=WindowState.MEASURING)
    telemetry.memory(1024)
    seen = series(telemetry)
    assert seen["sdbench_images_total"] == 16
    assert round(seen["sdbench_images_per_second"], 9) == round(16 / 0.75, 9)
    assert seen["sdbench_step_duration_seconds_sum"] == 0.75
    assert seen["sdbench_step_duration_seconds_count"] == 2
    assert round(seen["sdbench_data_wait_seconds_total"], 9) == 0.3
    assert seen["sdbench_loss"] == 1.25
    assert seen["sdbench_window_state"] == 1
    assert seen["sdbench_device_memory_peak_bytes"] == 1024
