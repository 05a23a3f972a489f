"""What keeps it from scaling, in a sentence? The fitted law of a step, and what its constant means."""

from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import LawRow
from sdbench.report.answers import percent


def law_sentences(benchmark: Benchmark) -> tuple[str, ...]:
    """One for each law."""
    return tuple(_sentence(law, benchmark) for law in benchmark.status.laws)


def _sentence(law: LawRow, benchmark: Benchmark) -> str:
    name = f"{law.knobs}: " if law.knobs else ""
    each, constant = float(law.seconds_per_image), float(law.constant_seconds)
    sign = "−" if constant < 0 else "+"
    return (
        f"{name}step = {each:.3g} s × images per device {sign} {abs(constant):.3g} s, within "
        f"{percent(law.residual_ratio)} over {len(law.counts)} counts.{_meaning(law, constant, benchmark)}"
    )


def _meaning(law: LawRow, constant: float, benchmark: Benchmark) -> str:
    """How much of the shortest step no further device shortens."""
    largest = max(law.counts)
    label = f"devices={largest}" + (f",{law.knobs}" if law.knobs else "")
    steps = [float(row.step_seconds_p50) for row in benchmark.status.points if row.point == label]
    if not steps or not 0 < constant < steps[0]:
        return ""
    share = percent(Decimal(constant / steps[0]), 0)
    return f" At {largest:,} devices {share} of a step is the constant, which no device shortens."
