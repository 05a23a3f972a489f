"""Tests that the progress of a local run follows from the metrics of rank 0 and from the rows."""

from io import StringIO

import pytest
from rich.console import Console

from page import sample
from sdbench.api.reasons import Reason
from sdbench.api.status import Status, TrialPhase
from sdbench.core.snapshot import CreateJob
from sdbench.core.trial.row import row_measurement
from sdbench.local.display import Lines, display_on
from sdbench.local.live_metrics import Reading, reading, reading_in
from sdbench.local.progress import Step, WindowProgress, outcome_line
from sdbench_trainer.config import Precision, TrainerConfig, Window
from sdbench_trainer.report import Report, WindowState
from sdbench_trainer.run import RunConfig
from unit.core.worlds import report

EXPOSITION = """
# TYPE sdbench_images counter
sdbench_images_total 96.0
# TYPE sdbench_images_per_second gauge
sdbench_images_per_second 12.5
# TYPE sdbench_window_state gauge
sdbench_window_state {state}
"""


def start() -> CreateJob:
    """An Attempt with batches of 8, 3 for the warm-up and 10 measured."""
    trainer = TrainerConfig(global_batch_size=8, precision=Precision.FP32, window=Window(warmup_batches=3, batches=10))
    return CreateJob("tiny-00000-0-1", 0, 1, "local", RunConfig(attempt="a", devices=1, trainer=trainer), 1, 1)


@pytest.mark.parametrize("state", list(WindowState))
def test_a_reading_is_parsed_from_the_exposition(state: WindowState) -> None:
    assert reading_in(EXPOSITION.format(state=float(state))) == Reading(state, 96.0, 12.5)


@pytest.mark.parametrize("text", ["", "other_metric 1.0\n"])
def test_an_exposition_without_a_window_has_no_reading(text: str) -> None:
    assert reading_in(text) is None


def test_a_port_that_nobody_serves_has_no_reading() -> None:
    assert reading(1) is None


def test_a_window_counts_its_batches_from_its_opening() -> None:
    window = WindowProgress(start())
    readings = [
        (None, Step("starting")),
        (Reading(WindowState.WARM_UP, 16, 0.0), Step("warm-up", 2, 3)),
        (Reading(WindowState.WARM_UP, 80, 5.0), Step("warm-up", 3, 3, 5.0)),
        (Reading(WindowState.MEASURING, 88, 6.0), Step("measuring", 0, 10, 6.0)),
        (Reading(WindowState.MEASURING, 128, 6.0), Step("measuring", 5, 10, 6.0)),
        (Reading(WindowState.COMPLETE, 168, 6.0), Step("measured", 10, 10, 6.0)),
        (None, Step("finishing")),
    ]
    assert [window.step(served) for served, _ in readings] == [step for _, step in readings]


ENDINGS = [
    (report("any", 12.5), TrialPhase.SUCCEEDED, "12.50 images/s"),
    (report("any", 12.5, disturbed=True), TrialPhase.SUCCEEDED, "12.50 images/s, but other processes disturbed it"),
    (None, TrialPhase.SKIPPED, "Converged: 2 repeats are enough"),
]


@pytest.mark.parametrize(("left", "phase", "line"), ENDINGS, ids=["measured", "disturbed", "not needed"])
def test_the_end_of_a_trial_is_one_line(left: Report | None, phase: TrialPhase, line: str) -> None:
    measured = row_measurement(left.measurement) if left is not None and left.measurement is not None else None
    row = sample.trial(0, 8, Reason.CONVERGED, "2 repeats are enough")
    row = row.model_copy(update={"phase": phase, "measurement": measured})
    assert outcome_line(row) == line
    of = sample.benchmark(Status(trials=(row,)))
    for terminal in (False, True):
        paper = StringIO()
        with display_on(Console(file=paper, width=200, force_terminal=terminal)) as display:
            display.show(of, {})
        assert f"Trial 0 devices=8: {line}" in paper.getvalue()


def test_plain_lines_show_each_change_once() -> None:
    paper = StringIO()
    partly = sample.partly("Lower [the] batch.")
    with Lines(Console(file=paper, width=200)) as lines:
        lines.show(partly, {})
        lines.show(partly, {})
    shown = paper.getvalue().splitlines()
    assert len(shown) == 3
    assert shown[2] == "Trial 2 devices=32: OutOfMemoryDevice: Lower [the] batch."
