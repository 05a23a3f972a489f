"""Words what a reader must know about a Point before trusting its numbers: notes and their marks in the table."""

from collections.abc import Iterator, Sequence

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import PointRow
from sdbench.report.batch import division_of, ragged


def notes_of(row: PointRow) -> tuple[str, ...]:
    """The Point's notes, as sentences without its name."""
    return tuple(_notes_of(row))


def _notes_of(row: PointRow) -> Iterator[str]:
    if row.disturbed_repeats:
        yield (
            f"{row.disturbed_repeats} of {_were(row.repeats, 'repeat')} disturbed: other processes or the hypervisor "
            "took more of the hosts' CPU time than window.maxForeignCpuRatio allows. Measure again on quiet machines."
        )
    if row.mixed is not None:
        yield f"The repeats ran on different things and cannot be compared: {row.mixed}."
    if words := ragged(division_of(row)):
        yield f"The batch does not divide: {words}."
    if row.replaced_samples:
        samples = _were(row.replaced_samples, "unreadable sample")
        yield f"{samples} replaced by others. sdbench-trainer shards check names them."


def _were(count: int, noun: str) -> str:
    return f"1 {noun} was" if count == 1 else f"{count:,} {noun}s were"


def numbered(benchmark: Benchmark) -> tuple[str, ...]:
    """Every distinct note once, in the order of the table; the first has the number 1."""
    points = sorted(benchmark.status.points, key=lambda row: (row.devices, row.point))
    return tuple(dict.fromkeys(note for row in points for note in notes_of(row)))


def across(benchmark: Benchmark) -> Iterator[str]:
    """What differs between environments of different Points, so that they do not compare."""
    seen = benchmark.status.environments
    devices = list(dict.fromkeys(row.device for row in seen))
    if len(devices) > 1:
        yield f"Not all ran on one kind of device ({' / '.join(devices)}), but efficiency and law compare them all."
    if len({row.image_id for row in seen}) > 1:
        yield "Not all ran the same image, but efficiency and law compare them all."


def marks(row: PointRow, notes: Sequence[str]) -> str:
    """The numbers of the Point's notes."""
    return ", ".join(str(notes.index(note) + 1) for note in notes_of(row))
