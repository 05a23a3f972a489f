"""Serves rank 0's /metrics while a run trains; their names, units and labels are API.

METRICS is the one table of them; docs/metrics.md is generated from it.
"""

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
"""Most steps that are noted without being added up, where nobody asks."""


class MetricType(StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True)
class Definition:
    """One row of the table."""

    name: str
    kind: MetricType
    unit: str
    text: str
    labels: tuple[str, ...] = ()


METRICS = (
    Definition(
        "sdbench_images_total", MetricType.COUNTER, "images", "Images trained, over all devices, with the warm-up."
    ),
    Definition(
        "sdbench_images_per_second",
        MetricType.GAUGE,
        "images/s",
        f"Speed over all devices in the last {RECENT_STEPS} steps, without evaluation and checkpoints.",
    ),
    Definition(
        "sdbench_step_duration_seconds", MetricType.HISTOGRAM, "s", "Steps, without evaluation and checkpoints."
    ),
    Definition(
        "sdbench_data_wait_seconds_total", MetricType.COUNTER, "s", "Seconds that rank 0 waited for its images."
    ),
    Definition(
        "sdbench_device_memory_peak_bytes",
        MetricType.GAUGE,
        "bytes",
        "Most memory that rank 0's device has held, since the window opened if it did; absent on a CPU.",
    ),
    Definition(
        "sdbench_host_memory_peak_bytes",
        MetricType.GAUGE,
        "bytes",
        "Most memory that rank 0's process has held so far.",
    ),
    Definition(
        "sdbench_mfu_ratio",
        MetricType.GAUGE,
        "1",
        f"Model FLOPs utilisation in the last {RECENT_STEPS} steps; absent where the device's peak is not known.",
    ),
    Definition("sdbench_loss", MetricType.GAUGE, "1", "Loss of the last step, mean of all ranks."),
    Definition("sdbench_window_state", MetricType.GAUGE, "1", "0: warming up, 1: measuring, 2: complete."),
    Definition("sdbench_build_info", MetricType.INFO, "1", "Always 1.", labels=("version", "model")),
)


class Telemetry(Collector):
    """The metrics of one run. Every counter is there, at 0, before the first step.

    A step only notes its numbers: the series are made of them when somebody asks, in another thread.
    """

    def __init__(self, model: str, device_memory: bool) -> None:
        """`device_memory`: whether the device is an accelerator, whose memory can be asked for."""
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
        self._utilisation: Callable[[float], float | None] = _unknown
        self.registry.register(self)

    def utilisation(self, of_images_per_second: Callable[[float], float | None]) -> None:
        """Say how the model FLOPs utilisation follows from a speed, once that is known."""
        self._utilisation = of_images_per_second

    def step(self, seconds: float, images: int, waited: float, loss: float, state: WindowState) -> None:
        """Note a step: its seconds, its images over all devices, what rank 0 has waited for images so far."""
        self._noted.append((seconds, images, waited, loss, state))
        if len(self._noted) >= NOTED_STEPS:
            self._add_up()

    def _add_up(self) -> None:
        """Take the steps that were noted into the sums."""
        with self._adding:
            while self._noted:
                seconds, images, self._waited, self._loss, self._state = self._noted.popleft()
                self._recent.append((images, seconds))
                self._images += images
                self._seconds += seconds
                self._buckets[bisect_left(BUCKETS, seconds)] += 1

    def memory(self, peak_bytes: int) -> None:
        """Note the device's peak."""
        if self._memory is not None:
            self._memory = peak_bytes

    def collect(self) -> Iterator[Metric]:
        """The series as they are now; prometheus_client calls this for each scrape."""
        self._add_up()
        values = self._values()
        for row in METRICS:
            value = values.get(row.name)
            if row.kind is MetricType.HISTOGRAM:
                yield self._histogram(row)
            elif row.kind is MetricType.INFO:
                yield self._build(row)
            elif value is not None:
                yield _single(row, value)

    def _values(self) -> dict[str, float | None]:
        """Of counters and gauges, by their names; None: not known here."""
        speed = self._speed()
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

    def _speed(self) -> float:
        recent = list(self._recent)
        seconds = sum(length for _, length in recent)
        return sum(count for count, _ in recent) / seconds if seconds else 0.0

    def _histogram(self, row: Definition) -> Metric:
        counts = list(accumulate(self._buckets))
        edges = [*map(str, BUCKETS), "+Inf"]
        return HistogramMetricFamily(row.name, row.text, list(zip(edges, counts, strict=True)), self._seconds)

    def _build(self, row: Definition) -> Metric:
        family = GaugeMetricFamily(row.name, row.text, labels=row.labels)
        family.add_metric([__version__, self._model], 1)
        return family


def host_memory_peak_bytes() -> int:
    """Of this process, in its whole life."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _unknown(_: float) -> None:
    """Before the run has said what it knows."""


def _single(row: Definition, value: float) -> Metric:
    """A counter or a gauge without labels."""
    make = CounterMetricFamily if row.kind is MetricType.COUNTER else GaugeMetricFamily
    return make(row.name, row.text, float(value))


def port() -> int:
    """The port to serve on, 0 for none."""
    return int(os.environ.get(PORT_VARIABLE, str(METRICS_PORT)))


def serve(telemetry: Telemetry, number: int) -> None:
    """Serve /metrics until the process ends; a port that is taken costs the metrics, not the run."""
    if number == 0:
        return
    try:
        start_http_server(number, registry=telemetry.registry)
    except OSError as error:
        sys.stderr.write(f"No /metrics: port {number} cannot be opened ({error.strerror}).\n")
