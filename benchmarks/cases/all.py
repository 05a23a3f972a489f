"""Lists all cases in the order in which they run and appear on the page."""

from benchmarks.case import Case
from benchmarks.cases import average, framework, latents, loader, repeats, tail, telemetry, tokenizer

CASES: tuple[Case, ...] = (
    average.CASE,
    tail.CASE,
    loader.CASE,
    tokenizer.CASE,
    latents.CASE,
    telemetry.CASE,
    framework.CASE,
    repeats.CASE,
)
