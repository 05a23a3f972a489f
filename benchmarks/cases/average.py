"""Measures the update of the moving average at the end of a step."""

import torch

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.comparison import estimate, interleaved, times_faster
from benchmarks.operations import dispatched, seconds_of
from benchmarks.plain import average as plain
from benchmarks.results import at_least, finding, paired_finding
from benchmarks.trained import SMOOTHING
from benchmarks.weights import AveragedWeights, weights_of
from sdbench_trainer.config import Model

GAIN = 10.0
TURNS = 9


def require_agreement() -> None:
    """Raises AssertionError unless both implementations give the same averages, up to rounding."""
    weights = weights_of(Model.TINY)
    average = AveragedWeights(weights)
    for shadow in average.averages:
        shadow.fill_(0.5)
    expected = [shadow.clone() for shadow in average.averages]
    plain.update(expected, weights.parameters(), SMOOTHING)
    average.update()
    torch.testing.assert_close(average.averages, expected, rtol=0.0, atol=1e-6)


def measure(context: CaseContext) -> CaseFindings:
    """Compares the update of all averages of a UNet."""
    require_agreement()
    weights = weights_of(Model.TINY if context.quick else Model.SD2_BASE)
    average = AveragedWeights(weights)
    averages, live = average.averages, list(weights.parameters())

    def run_plain() -> None:
        plain.update(averages, live, SMOOTHING)

    pairs = interleaved(
        lambda: seconds_of(run_plain), lambda: seconds_of(average.update), context.turns(TURNS), context.report_progress
    )
    count = dispatched(average.update)
    return CaseFindings(
        (
            paired_finding(
                f"{weights}",
                pairs,
                scale=1e3,
                unit="ms",
                value=times_faster(pairs),
                value_unit="times faster",
                target=at_least(GAIN),
            ),
            finding(
                "dispatched operations",
                unit="operations",
                plain=dispatched(run_plain),
                ours=count,
                value=estimate([count]),
                value_unit="operations",
            ),
        ),
        (
            "Both update the same averages of the same weights. On a CPU the whole gain comes from the plain "
            "version's temporary tensors and their page faults; a loop of `lerp_` would be as fast.",
        ),
    )


CASE = Case(
    "average",
    "Moving average of the weights (EMA)",
    "One update of the averages of all weights of sd2-base's UNet, in fp32, on one thread. Plain: "
    "`average.copy_(average * s + weight * (1 - s))` for each tensor. Ours: the trainer's algorithm, as Composer calls "
    "it.",
    measure,
)
