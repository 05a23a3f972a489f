"""Serves rank 0's /metrics while a run trains; names, units and labels are API."""

import os
import resource
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from threading import Lock

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sdbench_trainer import __version__
from sdbench_trainer.report import WindowState
from sdbench_trainer.run import METRICS_PORT

PORT_VARIABLE = "SDBENCH_METRICS_PORT"
"""Environment variable with the port; 0 serves nothing."""

BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
RECENT_STEPS = 20
NOTED_STEPS = 1000
"""Most steps that are kept before they are added up, if nothing scrapes the metrics."""


class MetricType(StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True)
class Definition:
    """The definition of one metric."""

    name: str
    kind: MetricType
    unit: str
    text: str
    labels: tuple[str, ...] = ()


COUNTER, GAUGE, HISTOGRAM, INFO = MetricType

METRICS = (
    Definition("sdbench_images_total", COUNTER, "images", "Images trained, over all devices, with the warm-up."),
    Definition(
        "sdbench_images_per_second",
        GAUGE,
        "images/s",
        f"Speed over all devices in the last {RECENT_STEPS} steps, without evaluation and checkpoints.",
    ),
    Definition("sdbench_step_duration_seconds", HISTOGRAM, "s", "Steps, without evaluation and checkpoints."),
    Definition("sdbench_data_wait_seconds_total", COUNTER, "s", "Seconds that rank 0 waited for its images."),
    Definition(
        "sdbench_device_memory_peak_bytes",
        GAUGE,
        "bytes",
        "Most memory that rank 0's device has held, since the window opened if it has; absent on a CPU.",
    ),
    Definition("sdbench_host_memory_peak_bytes", GAUGE, "bytes", "Most memory that rank 0's process has held so far."),
    Definition(
        "sdbench_mfu_ratio",
        GAUGE,
        "1",
        f"Model FLOPs utilisation in the last {RECENT_STEPS} steps; absent if the device's peak is unknown.",
    ),
    Definition("sdbench_loss", GAUGE, "1", "Loss of the last step, mean of all ranks."),
    Definition("sdbench_window_state", GAUGE, "1", "0: warming up, 1: measuring, 2: complete."),
    Definition("sdbench_build_info", INFO, "1", "Always 1.", labels=("version", "model")),
)
"""All metrics of the trainer; docs/metrics.md is generated from them."""


class Telemetry(Collector):
    """Collects the metrics of one run. Every counter exists, at 0, before the first step."""

    def __init__(self, model: str, device_memory: bool) -> None:
        """`device_memory`: whether the device is an accelerator, whose memory can be read."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._model = model
        self._images = 0
        self._waited = self._loss = self._seconds = 0.0
        self._state = WindowState.WARM_UP
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_STEPS)
        self._noted: deque[tuple[float, int, float, float, WindowState]] = deque()
        self._adding = Lock()
        self._memory = 0 if device_memory else None
        self._utilisation: Callable[[float], float | None] = lambda _: None
        self.registry.register(self)

    def utilisation(self, of_images_per_second: Callable[[float], float | None]) -> None:
        """Sets how the model FLOPs utilisation follows from a speed."""
        self._utilisation = of_images_per_second

    def step(self, seconds: float, images: int, waited: float, loss: float, state: WindowState) -> None:
        """Notes a step: its seconds, its images over all devices, and how long rank 0 has waited for images so far."""
        # The series are made when they are scraped, in another thread, so that a step loses as little time as possible.
        self._noted.append((seconds, images, waited, loss, state))
        if len(self._noted) >= NOTED_STEPS:
            self._add_up()

    def _add_up(self) -> None:
        """Adds the noted steps to the sums."""
        # A scrape and a step may add up at the same time.
        with self._adding:
            while self._noted:
                seconds, images, self._waited, self._loss, self._state = self._noted.popleft()
                self._recent.append((images, seconds))
                self._images += images
                self._seconds += seconds
                self._buckets[bisect_left(BUCKETS, seconds)] += 1

    def memory(self, peak_bytes: int) -> None:
        """Notes the device's peak memory."""
        if self._memory is not None:
            self._memory = peak_bytes

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now; prometheus_client calls this for each scrape."""
        self._add_up()
        values = self._values()
        for row in METRICS:
            if row.kind is MetricType.HISTOGRAM:
                counts = list(accumulate(self._buckets))
                buckets = list(zip([*map(str, BUCKETS), "+Inf"], counts, strict=True))
                yield HistogramMetricFamily(row.name, row.text, buckets, self._seconds)
            elif row.kind is MetricType.INFO:
                build = GaugeMetricFamily(row.name, row.text, labels=row.labels)
                build.add_metric([__version__, self._model], 1)
                yield build
            elif (value := values[row.name]) is not None:
                make = CounterMetricFamily if row.kind is MetricType.COUNTER else GaugeMetricFamily
                yield make(row.name, row.text, float(value))

    def _values(self) -> dict[str, float | None]:
        """The values of the counters and gauges by name; None if unknown."""
        recent = list(self._recent)
        seconds = sum(length for _, length in recent)
        speed = sum(count for count, _ in recent) / seconds if seconds else 0.0
        return {
            "sdbench_images_total": self._images,
            "sdbench_images_per_second": speed,
            "sdbench_data_wait_seconds_total": self._waited,
            "sdbench_device_memory_peak_bytes": self._memory,
            "sdbench_host_memory_peak_bytes": host_memory_peak_bytes(),
            "sdbench_mfu_ratio": self._utilisation(speed),
            "sdbench_loss": self._loss,
            "sdbench_window_state": self._state,
        }


def host_memory_peak_bytes() -> int:
    """The peak resident memory of this process since it started."""
    # Linux counts ru_maxrss in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def port() -> int:
    """The port to serve on; 0 for none."""
    return int(os.environ.get(PORT_VARIABLE, str(METRICS_PORT)))


def serve(telemetry: Telemetry, number: int) -> None:
    """Serves /metrics until the process ends."""
    if number == 0:
        return
    # A port that is taken costs the metrics, not the run.
    try:
        start_http_server(number, registry=telemetry.registry)
    except OSError as error:
        sys.stderr.write(f"Cannot serve /metrics on port {number}: {error.strerror}. Training goes on without.\n")
