"""Which cases are there, and in which order are they run and shown?"""

from benchmarks.case import Case
from benchmarks.cases import average, framework, loader, repeats, tail, telemetry, tokenizer

CASES: tuple[Case, ...] = (
    average.CASE,
    tail.CASE,
    loader.CASE,
    tokenizer.CASE,
    telemetry.CASE,
    framework.CASE,
    repeats.CASE,
)
