"""Measures how many photographs per second one core loads, and the bytes of a loaded sample."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from benchmarks import shards
from benchmarks.case import Case, CaseContext, CaseFindings
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
    """The trainer's loader of the shards in a folder."""
    run = tiny_run(BATCH, imageSize=image_size, **trainer)
    return images(run.model_copy(update={"source": DataSource(local=str(folder))}), RankPlace())


def seconds_a_sample(loader: Any, samples: int) -> float:
    """The seconds per sample of one epoch. Raises RuntimeError if the epoch has another number of samples."""
    started, batches = time.perf_counter(), 0
    for _ in loader:
        batches += 1
    seconds = time.perf_counter() - started
    if batches * BATCH != samples:
        raise RuntimeError(f"an epoch had {batches} batches of {BATCH}, not {samples} samples")
    return seconds / samples


def bytes_a_sample(loader: Any) -> float:
    """The bytes per sample of the first batch."""
    parts = [part for part in next(iter(loader)).values() if isinstance(part, Tensor)]
    return sum(part.numel() * part.element_size() for part in parts) / BATCH


def compared(context: CaseContext, folder: Path, source: str, image_size: int, samples: int) -> tuple[Finding, Finding]:
    """Compares speed and bytes at one image size."""
    theirs = plain.loader_of(str(folder), image_size, BATCH, plain_tokenizer(context.folder))
    ours = our_loader(folder, image_size)
    where = f"{image_size} px of {source}"
    pairs = interleaved(
        lambda: seconds_a_sample(theirs, samples),
        lambda: seconds_a_sample(ours, samples),
        context.turns(TURNS),
        lambda words: context.report_progress(f"{where}: {words}"),
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


def measure(context: CaseContext) -> CaseFindings:
    """Compares epochs over photographs of two sizes, at two image sizes."""
    found: list[Finding] = []
    notes = []
    samples = FEWEST if context.quick else SAMPLES
    for width, height in SOURCES[:1] if context.quick else SOURCES:
        folder = context.folder / f"{width}x{height}"
        context.report_progress(f"writing photographs of {width}x{height}")
        mean = shards.write(folder, samples, width, height)
        notes.append(f"{width}x{height}: {samples} JPEGs of {mean / 1e3:.0f} kB on average.")
        for image_size in (64,) if context.quick else SIZES:
            found += compared(context, folder, f"{width}x{height} JPEGs", image_size, samples)
    return CaseFindings(tuple(found), tuple(notes))


CASE = Case(
    "loader",
    "Loader of photographs",
    "Epochs over MDS shards of real photographs (from the scikit-image package, cropped and scaled to the given size) "
    "in one process on one thread, with a warm cache. Plain: Pillow, `Resize`, `ToTensor`, the plain tokenizer, "
    "PyTorch's collation. Ours: the trainer's loader.",
    measure,
)
