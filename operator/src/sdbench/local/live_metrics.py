"""Reads the progress of a running Attempt from the /metrics of its rank 0."""

import http.client
from contextlib import closing
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from sdbench_trainer.report import WindowState

TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class Reading:
    """The metrics of rank 0 at one moment."""

    window: WindowState
    images: float
    """Images trained since the start."""
    images_per_second: float


def reading(port: int) -> Reading | None:
    """The current reading; None while rank 0 does not serve."""
    try:
        # Not urllib, which would use the environment's proxy.
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request("GET", "/metrics")
            return reading_in(connection.getresponse().read().decode())
    except (OSError, http.client.HTTPException, ValueError):
        return None


def reading_in(exposition: str) -> Reading | None:
    """The reading in a text in Prometheus' format; None without the window's state. Raises ValueError on other text."""
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name.startswith("sdbench_")
    }
    if "sdbench_window_state" not in values:
        return None
    return Reading(
        WindowState(int(values["sdbench_window_state"])),
        values.get("sdbench_images_total", 0.0),
        values.get("sdbench_images_per_second", 0.0),
    )
