"""Words the scaling fit: the cost of a step, and what its constant means."""

from collections.abc import Iterator
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.core.format import percent


def scaling_fit_sentences(benchmark: Benchmark) -> Iterator[str]:
    """A sentence for each scaling fit."""
    for fit in benchmark.status.scaling_fits:
        name = f"{fit.parameters}: " if fit.parameters else ""
        each, constant = float(fit.seconds_per_image), float(fit.constant_seconds)
        sign = "−" if constant < 0 else "+"
        sentence = (
            f"{name}step = {each:.3g} s × images per device {sign} {abs(constant):.3g} s, within "
            f"{percent(fit.residual_ratio)} over {len(fit.counts)} counts."
        )
        largest = max(fit.counts)
        label = f"devices={largest}" + (f",{fit.parameters}" if fit.parameters else "")
        shortest = next((float(row.step_seconds_p50) for row in benchmark.status.points if row.point == label), 0.0)
        # A constant that is negative, or longer than the step, is an artefact of the fit and has no share.
        if 0 < constant < shortest:
            share = percent(Decimal(constant / shortest), 0)
            sentence += f" At {largest:,} devices {share} of a step is the constant, which no device shortens."
        yield sentence
