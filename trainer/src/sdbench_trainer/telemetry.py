"""What can be read while a run trains? Rank 0's /metrics; their names, units and labels are API.

METRICS is the one table of them; the documentation is generated from it.
"""

import os
import sys
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from sdbench_trainer import __version__
from sdbench_trainer.run import METRICS_PORT
from sdbench_trainer.stopwatch import WindowState

PORT_VARIABLE = "SDBENCH_METRICS_PORT"
"""Environment variable with the port; 0 serves nothing."""

BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
RECENT_STEPS = 20


class Kind(StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    name: str
    kind: Kind
    unit: str
    text: str


METRICS = (
    Metric("sdbench_images_total", Kind.COUNTER, "images", "Images trained, over all devices, with the warm-up."),
    Metric(
        "sdbench_images_per_second",
        Kind.GAUGE,
        "images/s",
        f"Speed over all devices in the last {RECENT_STEPS} steps, without evaluation and checkpoints.",
    ),
    Metric("sdbench_step_duration_seconds", Kind.HISTOGRAM, "s", "Steps, without evaluation and checkpoints."),
    Metric("sdbench_data_wait_seconds_total", Kind.COUNTER, "s", "Seconds that rank 0 waited for its images."),
    Metric(
        "sdbench_device_memory_peak_bytes",
        Kind.GAUGE,
        "bytes",
        "Most memory that rank 0's device has held, since the window opened if it did.",
    ),
    Metric("sdbench_loss", Kind.GAUGE, "1", "Loss of the last step, mean of all ranks."),
    Metric("sdbench_window_state", Kind.GAUGE, "1", "0: warming up, 1: measuring, 2: complete."),
    Metric("sdbench_build_info", Kind.INFO, "1", "Always 1; the labels name the version and the model."),
)


class Telemetry:
    """The metrics of one run. Every series is there, at 0, before the first step."""

    def __init__(self, model: str, device_memory: bool) -> None:
        """`device_memory`: whether the device is an accelerator, whose memory can be asked for."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry(auto_describe=False)
        texts = {metric.name: metric.text for metric in METRICS}

        def gauge(name: str) -> Gauge:
            return Gauge(name, texts[name], registry=self.registry)

        def counter(name: str) -> Counter:
            return Counter(name, texts[name], registry=self.registry)

        self._images = counter("sdbench_images_total")
        self._speed = gauge("sdbench_images_per_second")
        self._steps = Histogram(
            "sdbench_step_duration_seconds",
            texts["sdbench_step_duration_seconds"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._waited = counter("sdbench_data_wait_seconds_total")
        self._memory = gauge("sdbench_device_memory_peak_bytes") if device_memory else None
        self._loss = gauge("sdbench_loss")
        self._window = gauge("sdbench_window_state")
        build = "sdbench_build_info"
        Gauge(build, texts[build], ["version", "model"], registry=self.registry).labels(__version__, model).set(1)
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_STEPS)

    def step(self, seconds: float, images: int, waited: float, loss: float, state: WindowState) -> None:
        """Note a step: its seconds, its images over all devices, rank 0's wait in it."""
        self._recent.append((images, seconds))
        self._images.inc(images)
        self._steps.observe(seconds)
        self._waited.inc(waited)
        self._speed.set(sum(count for count, _ in self._recent) / sum(length for _, length in self._recent))
        self._loss.set(loss)
        self._window.set(state.value)

    def memory(self, peak_bytes: int) -> None:
        """Note the device's peak."""
        if self._memory is not None:
            self._memory.set(peak_bytes)


def port() -> int:
    """The port to serve on, 0 for none."""
    return int(os.environ.get(PORT_VARIABLE, str(METRICS_PORT)))


def serve(telemetry: Telemetry, number: int) -> None:
    """Serve /metrics until the process ends; a port that is taken costs the metrics, not the run."""
    from prometheus_client import start_http_server

    if number == 0:
        return
    try:
        start_http_server(number, registry=telemetry.registry)
    except OSError as error:
        sys.stderr.write(f"No /metrics: port {number} cannot be opened ({error.strerror}).\n")
