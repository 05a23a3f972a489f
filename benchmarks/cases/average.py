"""Measures a step's update of the moving average."""

from statistics import median

import torch

from benchmarks.case import Answer, Case, Setting
from benchmarks.comparison import estimate, interleaved, times_faster
from benchmarks.operations import dispatched, seconds_of
from benchmarks.plain import average as plain
from benchmarks.results import at_least, finding
from benchmarks.trained import SMOOTHING
from benchmarks.weights import AveragedWeights, weights_of
from sdbench_trainer.config import Model

GAIN = 10.0
TURNS = 9


def require_agreement() -> None:
    """Both ways give the same averages, up to rounding. Raises AssertionError."""
    weights = weights_of(Model.TINY)
    average = AveragedWeights(weights)
    for shadow in average.averages:
        shadow.fill_(0.5)
    expected = [shadow.clone() for shadow in average.averages]
    plain.update(expected, weights.parameters(), SMOOTHING)
    average.update()
    torch.testing.assert_close(average.averages, expected, rtol=0.0, atol=1e-6)


def answer(setting: Setting) -> Answer:
    """The update of all averages of a UNet, the plain way and by `ema.py`."""
    require_agreement()
    weights = weights_of(Model.TINY if setting.quick else Model.SD2_BASE)
    average = AveragedWeights(weights)
    averages, live = average.averages, list(weights.parameters())

    def plainly() -> None:
        plain.update(averages, live, SMOOTHING)

    pairs = interleaved(
        lambda: seconds_of(plainly), lambda: seconds_of(average.update), setting.turns(TURNS), setting.news
    )
    count = dispatched(average.update)
    return Answer(
        (
            finding(
                f"{weights}",
                unit="ms",
                plain=1e3 * median(pair.plain for pair in pairs),
                ours=1e3 * median(pair.ours for pair in pairs),
                value=times_faster(pairs),
                value_unit="times faster",
                target=at_least(GAIN),
            ),
            finding(
                "dispatched operations",
                unit="operations",
                plain=dispatched(plainly),
                ours=count,
                value=estimate([count]),
                value_unit="operations",
            ),
        ),
        (
            "Both ways update the same averages of the same weights. On a CPU the whole gain is the plain way's "
            "temporary tensors and their page faults; a loop of `lerp_` would be as fast.",
        ),
    )


CASE = Case(
    "average",
    "Moving average of the weights (EMA)",
    "One update of the average of every weight of sd2-base's UNet, in fp32, on one thread. Plain: for each tensor "
    "`average.copy_(average * s + weight * (1 - s))`. Ours: the trainer's algorithm, as Composer calls it.",
    answer,
)
