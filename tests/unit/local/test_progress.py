"""Tests that what a person sees follows from what rank 0 serves."""

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
from sdbench_trainer.config import Precision, TrainerConfig
from sdbench_trainer.config import Window as Asked
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
    trainer = TrainerConfig(global_batch_size=8, precision=Precision.FP32, window=Asked(warmup_batches=3, batches=10))
    return CreateJob("tiny-00000-0-1", 0, 1, "local", RunConfig(attempt="a", devices=1, trainer=trainer), 1, 1)


@pytest.mark.parametrize("state", list(WindowState))
def test_a_reading_is_taken_from_the_exposition(state: WindowState) -> None:
    assert reading_in(EXPOSITION.format(state=float(state))) == Reading(state, 96.0, 12.5)


@pytest.mark.parametrize("text", ["", "other_metric 1.0\n"])
def test_an_exposition_without_a_window_is_no_reading(text: str) -> None:
    assert reading_in(text) is None


def test_a_port_where_nobody_serves_is_no_reading() -> None:
    assert reading(1) is None


def test_a_window_counts_its_batches_from_its_opening() -> None:
    window = WindowProgress(start())
    told = [
        (None, Step("starting")),
        (Reading(WindowState.WARM_UP, 16, 0.0), Step("warm-up", 2, 3)),
        (Reading(WindowState.WARM_UP, 80, 5.0), Step("warm-up", 3, 3, 5.0)),
        (Reading(WindowState.MEASURING, 88, 6.0), Step("measuring", 0, 10, 6.0)),
        (Reading(WindowState.MEASURING, 128, 6.0), Step("measuring", 5, 10, 6.0)),
        (Reading(WindowState.COMPLETE, 168, 6.0), Step("measured", 10, 10, 6.0)),
        (None, Step("finishing")),
    ]
    assert [window.step(said) for said, _ in told] == [step for _, step in told]


ENDINGS = [
    (report("any", 12.5), TrialPhase.SUCCEEDED, "12.50 images/s"),
    (report("any", 12.5, disturbed=True), TrialPhase.SUCCEEDED, "12.50 images/s, but others disturbed it"),
    (None, TrialPhase.SKIPPED, "Converged: 2 repeats are enough"),
]


@pytest.mark.parametrize(("left", "phase", "said"), ENDINGS, ids=["measured", "disturbed", "not needed"])
def test_an_ended_trial_is_told_in_a_line_with_a_mark(left: Report | None, phase: TrialPhase, said: str) -> None:
    measured = row_measurement(left.measurement) if left is not None and left.measurement is not None else None
    row = sample.trial(0, 8, Reason.CONVERGED, "2 repeats are enough")
    row = row.model_copy(update={"phase": phase, "measurement": measured})
    assert outcome_line(row) == said
    of = sample.benchmark(Status(trials=(row,)))
    for terminal in (False, True):
        paper = StringIO()
        with display_on(Console(file=paper, width=200, force_terminal=terminal)) as watch:
            watch.show(of, {})
        assert f"Trial 0 devices=8: {said}" in paper.getvalue()


def test_lines_say_each_change_once_and_how_a_trial_ended() -> None:
    paper = StringIO()
    partly = sample.partly("Lower [the] batch.")
    with Lines(Console(file=paper, width=200)) as lines:
        lines.show(partly, {})
        lines.show(partly, {})
    said = paper.getvalue().splitlines()
    assert len(said) == 3
    assert said[2] == "Trial 2 devices=32: OutOfMemoryDevice: Lower [the] batch."
