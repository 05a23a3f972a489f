"""Measures how many samples a second one core reads, decodes, scales and tokenizes, and their size."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from benchmarks import shards
from benchmarks.case import Answer, Case, Setting
from benchmarks.cases.tokenizer import plain_tokenizer
from benchmarks.comparison import estimate, interleaved, times_faster
from benchmarks.plain import photographs as plain
from benchmarks.results import Finding, at_least, at_most, finding
from benchmarks.trained import tiny_run
from sdbench_trainer.distributed import RankPlace
from sdbench_trainer.run import DataSource
from sdbench_trainer.train import images

GAIN = 2.0
BYTES = 0.26
TURNS = 7
BATCH = 16
SAMPLES = 512
FEWEST = 64
SOURCES = ((640, 480), (1024, 683))
SIZES = (256, 512)


def our_loader(folder: Path, image_size: int, **trainer: Any) -> Any:
    """The loader that the trainer makes for shards in a folder."""
    run = tiny_run(BATCH, imageSize=image_size, **trainer)
    return images(run.model_copy(update={"source": DataSource(local=str(folder))}), RankPlace())


def seconds_a_sample(loader: Any, samples: int) -> float:
    """One epoch's seconds, divided by its samples. Raises RuntimeError if they are not as many as were written."""
    began, batches = time.perf_counter(), 0
    for _ in loader:
        batches += 1
    seconds = time.perf_counter() - began
    if batches * BATCH != samples:
        raise RuntimeError(f"an epoch had {batches} batches of {BATCH}, not {samples} samples")
    return seconds / samples


def bytes_a_sample(loader: Any) -> float:
    """What one sample of the first batch holds."""
    parts = [part for part in next(iter(loader)).values() if isinstance(part, Tensor)]
    return sum(part.numel() * part.element_size() for part in parts) / BATCH


def compared(setting: Setting, folder: Path, source: str, image_size: int, samples: int) -> tuple[Finding, Finding]:
    """Speed and bytes at one image size."""
    theirs = plain.loader_of(str(folder), image_size, BATCH, plain_tokenizer(setting.folder))
    ours = our_loader(folder, image_size)
    where = f"{image_size} px of {source}"
    pairs = interleaved(
        lambda: seconds_a_sample(theirs, samples),
        lambda: seconds_a_sample(ours, samples),
        setting.turns(TURNS),
        lambda words: setting.news(f"{where}: {words}"),
    )
    sizes = bytes_a_sample(theirs), bytes_a_sample(ours)
    return (
        finding(
            where,
            unit="samples/s",
            plain=1.0 / median(pair.plain for pair in pairs),
            ours=1.0 / median(pair.ours for pair in pairs),
            value=times_faster(pairs),
            value_unit="times faster",
            target=at_least(GAIN),
        ),
        finding(
            f"{where}: size",
            unit="bytes a sample",
            plain=sizes[0],
            ours=sizes[1],
            value=estimate([sizes[1] / sizes[0]]),
            value_unit="of the bytes",
            target=at_most(BYTES),
        ),
    )


def answer(setting: Setting) -> Answer:
    """Epochs over photographs of two sizes, at two image sizes."""
    found: list[Finding] = []
    notes = []
    samples = FEWEST if setting.quick else SAMPLES
    for width, height in SOURCES[:1] if setting.quick else SOURCES:
        folder = setting.folder / f"{width}x{height}"
        setting.news(f"writing photographs of {width}x{height}")
        mean = shards.write(folder, samples, width, height)
        notes.append(f"{width}x{height}: {samples} JPEGs of {mean / 1e3:.0f} kB on average.")
        for image_size in (64,) if setting.quick else SIZES:
            found += compared(setting, folder, f"{width}x{height} JPEGs", image_size, samples)
    return Answer(tuple(found), tuple(notes))


CASE = Case(
    "loader",
    "Loader of photographs",
    "Epochs over MDS shards of real photographs (crops out of the scikit-image package, scaled to the size named) in "
    "one process on one thread, from a warm cache. Plain: Pillow, `Resize`, `ToTensor`, the plain tokenizer, PyTorch's "
    "collation. Ours: the loader that the trainer makes.",
    answer,
)
