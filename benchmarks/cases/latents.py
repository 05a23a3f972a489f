"""Measures how much faster stored latents load than photographs."""

from benchmarks import shards
from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.cases.loader import BATCH, FEWEST, SAMPLES, SIZES, our_loader, seconds_a_sample
from benchmarks.cases.tokenizer import plain_tokenizer
from benchmarks.comparison import interleaved, times_faster
from benchmarks.plain import photographs as plain
from benchmarks.results import Finding, at_least, paired_finding

GAIN = 50.0
TURNS = 7
SOURCE = (640, 480)
LATENTS = 4096
"""Enough to make the start of an epoch a small part of it."""


def compared(context: CaseContext, image_size: int) -> Finding:
    """Compares the time per sample of latents and of photographs."""
    photographs, latents = (FEWEST, FEWEST) if context.quick else (SAMPLES, LATENTS)
    folder = context.folder / f"latents-{image_size}"
    shards.write_latents(folder, latents, image_size)
    theirs = plain.loader_of(str(context.folder / "photographs"), image_size, BATCH, plain_tokenizer(context.folder))
    ours = our_loader(folder, image_size, encoding="precomputed")
    pairs = interleaved(
        lambda: seconds_a_sample(theirs, photographs),
        lambda: seconds_a_sample(ours, latents),
        context.turns(TURNS),
        lambda words: context.report_progress(f"{image_size} px: {words}"),
    )
    return paired_finding(
        f"latents of {image_size} px",
        pairs,
        scale=1e6,
        unit="µs a sample",
        value=times_faster(pairs),
        value_unit="times faster",
        target=at_least(GAIN),
    )


def measure(context: CaseContext) -> CaseFindings:
    """Compares epochs over latents with epochs over photographs that would give latents of the same size."""
    context.report_progress("writing photographs")
    shards.write(context.folder / "photographs", FEWEST if context.quick else SAMPLES, *SOURCE)
    sizes = (64,) if context.quick else SIZES
    return CaseFindings(
        tuple(compared(context, image_size) for image_size in sizes),
        (
            f"An epoch has {LATENTS:,} latents or {SAMPLES} photographs. Both times include Streaming's start of an "
            "epoch.",
        ),
    )


CASE = Case(
    "latents",
    "Loader of precomputed latents",
    "Plain: photographs of 640x480 as in the case `loader`, without the time of the VAE, which would still have to "
    "encode them. Ours: the trainer's loader with `encoding: precomputed` and shards in the format of `shards build "
    "--latents` (with random numbers, which load equally fast). One process, one thread, warm cache.",
    measure,
)
