"""Words the scaling fit in a sentence: the cost of a step, and what its constant means."""

from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ScalingFitRow
from sdbench.report.answers import percent


def scaling_fit_sentences(benchmark: Benchmark) -> tuple[str, ...]:
    """One for each law."""
    return tuple(_sentence(fit, benchmark) for fit in benchmark.status.scaling_fits)


def _sentence(fit: ScalingFitRow, benchmark: Benchmark) -> str:
    name = f"{fit.parameters}: " if fit.parameters else ""
    each, constant = float(fit.seconds_per_image), float(fit.constant_seconds)
    sign = "−" if constant < 0 else "+"
    return (
        f"{name}step = {each:.3g} s × images per device {sign} {abs(constant):.3g} s, within "
        f"{percent(fit.residual_ratio)} over {len(fit.counts)} counts.{_meaning(fit, constant, benchmark)}"
    )


def _meaning(fit: ScalingFitRow, constant: float, benchmark: Benchmark) -> str:
    """How much of the shortest step no further device shortens."""
    largest = max(fit.counts)
    label = f"devices={largest}" + (f",{fit.parameters}" if fit.parameters else "")
    steps = [float(row.step_seconds_p50) for row in benchmark.status.points if row.point == label]
    if not steps or not 0 < constant < steps[0]:
        return ""
    share = percent(Decimal(constant / steps[0]), 0)
    return f" At {largest:,} devices {share} of a step is the constant, which no device shortens."
