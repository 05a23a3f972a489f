"""Words the notes that a reader must know before trusting a Point's numbers, and their marks in the table."""

from collections.abc import Iterator, Sequence

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import PointRow
from sdbench.report.batch import division_of, ragged


def notes_of(row: PointRow) -> tuple[str, ...]:
    """The Point's notes, as sentences without its name."""
    notes = []
    if row.disturbed_repeats:
        notes.append(
            f"{row.disturbed_repeats} of {_were(row.repeats, 'repeat')} disturbed: other processes or the hypervisor "
            "took more of the hosts' CPU time than window.maxForeignCpuRatio allows. Measure again on quiet machines."
        )
    if row.mixed is not None:
        notes.append(f"The repeats ran in different environments and cannot be compared: {row.mixed}.")
    if words := ragged(division_of(row)):
        notes.append(f"The batch does not divide: {words}.")
    if row.replaced_samples:
        samples = _were(row.replaced_samples, "unreadable sample")
        notes.append(f"{samples} replaced by others. sdbench-trainer shards check names them.")
    return tuple(notes)


def _were(count: int, noun: str) -> str:
    return f"1 {noun} was" if count == 1 else f"{count:,} {noun}s were"


def numbered(benchmark: Benchmark) -> tuple[str, ...]:
    """Every distinct note once, in the table's order; the first has the number 1."""
    points = sorted(benchmark.status.points, key=lambda row: (row.devices, row.point))
    return tuple(dict.fromkeys(note for row in points for note in notes_of(row)))


def across(benchmark: Benchmark) -> Iterator[str]:
    """The differences between environments that keep the Points from being compared."""
    environments = benchmark.status.environments
    compared = "but efficiency and the scaling fit compare all Points"
    devices = list(dict.fromkeys(row.device for row in environments))
    if len(devices) > 1:
        yield f"The Points ran on different devices ({' / '.join(devices)}), {compared}."
    if len({row.image_id for row in environments}) > 1:
        yield f"The Points did not all run the same image, {compared}."


def marks(row: PointRow, notes: Sequence[str]) -> str:
    """The numbers of the Point's notes."""
    return ", ".join(str(notes.index(note) + 1) for note in notes_of(row))
