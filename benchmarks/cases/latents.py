"""Measures how much faster stored latents are read than photographs."""

from statistics import median

from benchmarks import shards
from benchmarks.case import Answer, Case, Setting
from benchmarks.cases.loader import BATCH, FEWEST, SAMPLES, our_loader, seconds_a_sample
from benchmarks.cases.tokenizer import plain_tokenizer
from benchmarks.comparison import interleaved, times_faster
from benchmarks.plain import photographs as plain
from benchmarks.results import Finding, at_least, finding

GAIN = 50.0
TURNS = 7
SOURCE = (640, 480)
SIZES = (256, 512)
LATENTS = 4096
"""Many, so that an epoch is long beside its beginning."""


def compared(setting: Setting, image_size: int) -> Finding:
    """A sample of a batch of latents against one of a batch of photographs."""
    photographs, latents = (FEWEST, FEWEST) if setting.quick else (SAMPLES, LATENTS)
    folder = setting.folder / f"latents-{image_size}"
    shards.write_latents(folder, latents, image_size)
    theirs = plain.loader_of(str(setting.folder / "photographs"), image_size, BATCH, plain_tokenizer(setting.folder))
    ours = our_loader(folder, image_size, encoding="precomputed")
    pairs = interleaved(
        lambda: seconds_a_sample(theirs, photographs),
        lambda: seconds_a_sample(ours, latents),
        setting.turns(TURNS),
        lambda words: setting.news(f"{image_size} px: {words}"),
    )
    return finding(
        f"latents of {image_size} px",
        unit="µs a sample",
        plain=1e6 * median(pair.plain for pair in pairs),
        ours=1e6 * median(pair.ours for pair in pairs),
        value=times_faster(pairs),
        value_unit="times faster",
        target=at_least(GAIN),
    )


def answer(setting: Setting) -> Answer:
    """Epochs over latents and over photographs that would give latents of the same size."""
    setting.news("writing photographs")
    shards.write(setting.folder / "photographs", FEWEST if setting.quick else SAMPLES, *SOURCE)
    sizes = (64,) if setting.quick else SIZES
    return Answer(
        tuple(compared(setting, image_size) for image_size in sizes),
        (
            f"An epoch of ours has {LATENTS:,} samples, one of theirs {SAMPLES}; Streaming's beginning of an epoch is "
            "part of both.",
        ),
    )


CASE = Case(
    "latents",
    "Reader of precomputed latents",
    "Plain: photographs of 640x480 as in the loader's case; the VAE that would still have to see them is not counted. "
    "Ours: the trainer's loader with `encoding: precomputed`, moments and token ids as `shards build --latents` writes "
    "them (here random numbers, of which reading takes no notice). One process, one thread, warm cache.",
    answer,
)
