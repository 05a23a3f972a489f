"""Builds the series that Prometheus would hold of an ordinary run, in promtool's notation.

The run has a Benchmark of a tiny model on CPUs, its baseline, and a failed Benchmark. A gauge keeps its value. A
counter or a histogram grows by its value from one scrape to the next. The scrape adds the labels that the chart's
monitors add; there is no label `cluster`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import Phase, TrialPhase
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.controller.apiserver.requests import LIST_ALL_BENCHMARKS
from sdbench.controller.metrics.collector import OperatorSeries
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.report import WindowState
from unit.core.gate.gates import BASELINE, answer, asked, row
from unit.core.worlds import spec

SCRAPES = 40
INTERVAL = "15s"
EVALUATED = "10m"
"""After the 40 scrapes it is 00:10 on the first day of 1970, by Prometheus' clock."""

NAMESPACE = "team-a"
POD = {"pod": "p", "instance": "i"}


def moment(minute: int) -> datetime:
    """The time at that minute of the first hour of 1970."""
    return datetime(1970, 1, 1, 0, minute, tzinfo=UTC)


def running() -> Benchmark:
    """A Benchmark with one measured Point of three repeats, a Trial that trains, and one that waits since 00:05."""
    gate = {"minImagesPerSecond": "90", "baseline": {"name": BASELINE, "maxRegression": "0.02"}}
    point = row(rate="80", interval_low=Decimal(70), interval_high=Decimal(90), mfu_ratio=None)
    found = answer(asked(gate), point, name="tiny", uid="tiny-uid", namespace=NAMESPACE)
    trains = {"phase": TrialPhase.RUNNING, "job": "tiny-1", "scheduled_at": moment(2)}
    waits = {"phase": TrialPhase.STARTING, "waiting_since": moment(5)}
    done, *others = found.status.trials
    rows = (done, *(one.model_copy(update=change) for one, change in zip(others, (trains, waits), strict=True)))
    spent = {"spent_device_seconds": 40, "spent_cost": Decimal("0.25")}
    return _with(found, phase=Phase.RUNNING, trials=rows, **spent)


def last_month() -> Benchmark:
    """The baseline: the same spec with better results, which passed its own gate."""
    gate = {"minImagesPerSecond": "90"}
    found = answer(asked(gate), row(rate="100"), name=BASELINE, uid="baseline-uid", namespace=NAMESPACE)
    return _with(found, phase=Phase.SUCCEEDED, gate=GateRow(verdict=Verdict.PASS))


def failed() -> Benchmark:
    """A Benchmark without a measured Point."""
    return _with(answer(asked(), name="broken", uid="broken-uid", namespace=NAMESPACE), phase=Phase.FAILED)


def bare() -> Benchmark:
    """A Benchmark with one Point, measured once: no interval, no MFU, no projection, no price, no gate."""
    unknown: dict[str, Any] = dict.fromkeys(
        ("median_coefficient_of_variation", "mfu_ratio", "days", "device_hours", "cost")
    )
    asks = spec(devices={"counts": [1], "perPod": 1})
    found = answer(asks, row(repeats=1, spread=None, **unknown), name="bare", uid="bare-uid", namespace=NAMESPACE)
    return _with(found, phase=Phase.SUCCEEDED)


def _with(benchmark: Benchmark, **changes: object) -> Benchmark:
    return benchmark.model_copy(update={"status": benchmark.status.model_copy(update=changes)})


def operator(*benchmarks: Benchmark) -> CollectorRegistry:
    """The operator's metrics while these Benchmarks exist."""
    served = OperatorSeries(lambda: benchmarks, lambda: 2)
    served.last_list.set(570)
    served.last_event.set(540)
    served.duration.observe(0.03)
    served.request_sent(LIST_ALL_BENCHMARKS, "200")
    return served.registry


def trainer() -> CollectorRegistry:
    """The metrics of rank 0 of the second Trial: 15 steps of 8 images every 15 s, of which 3 take 0.4 s."""
    trainer = Telemetry("tiny", device_memory=False)
    for step in range(15):
        trainer.step(0.4 if step < 3 else 0.9, 8, waited=0.1 * (step + 1), loss=1.0, state=WindowState.MEASURING)
    return trainer.registry


def input_series(**external: str) -> dict[str, str]:
    """The series of both with their values. `external`: labels that a Prometheus of several clusters adds."""
    of_trial = {"namespace": NAMESPACE, "benchmark": "tiny", "trial": "1", **POD, **external}
    return {**of_operator(running(), last_month(), failed(), **external), **dict(_written(trainer(), of_trial))}


def of_operator(*benchmarks: Benchmark, **external: str) -> dict[str, str]:
    """The operator's series alone, while these Benchmarks exist."""
    return dict(_written(operator(*benchmarks), {"namespace": "sdbench-system", **POD, **external}))


def _written(registry: CollectorRegistry, scrape: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The series in promtool's notation; their labels take precedence over those of the scrape (honorLabels)."""
    for family in registry.collect():
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in {**scrape, **sample.labels}.items())
            start = "0+" if family.type in ("counter", "histogram") else ""
            yield f"{sample.name}{{{labels}}}", f"{start}{sample.value}x{SCRAPES}"
