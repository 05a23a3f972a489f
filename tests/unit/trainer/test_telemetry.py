"""Do the metrics say what their table says? And are they there before the first step?"""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdbench_trainer.stopwatch import WindowState
from sdbench_trainer.telemetry import METRICS, Telemetry


def series(telemetry: Telemetry) -> dict[str, float]:
    text = generate_latest(telemetry.registry).decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_every_counter_is_there_at_zero_before_the_first_step() -> None:
    seen = series(Telemetry("tiny", device_memory=True))
    assert seen.pop("sdbench_build_info") == 1
    assert set(seen.values()) == {0}


def test_what_is_served_is_what_the_table_names() -> None:
    served = {name.removesuffix("_sum").removesuffix("_count") for name in series(Telemetry("tiny", True))}
    assert served == {metric.name for metric in METRICS}


def test_without_an_accelerator_its_memory_is_left_out_and_not_zero() -> None:
    assert "sdbench_device_memory_peak_bytes" not in series(Telemetry("tiny", device_memory=False))


def test_steps_are_counted_and_the_speed_follows_them() -> None:
    telemetry = Telemetry("tiny", device_memory=True)
    telemetry.step(0.5, 8, waited=0.1, loss=1.5, state=WindowState.WARM_UP)
    telemetry.step(0.25, 8, waited=0.2, loss=1.25, state=WindowState.MEASURING)
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
