"""Words the notes that a reader must know before trusting a Point's numbers, and their marks in the table."""

from collections.abc import Iterator, Sequence

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import PointRow
from sdbench_trainer.run import Division


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
    batch = Division(
        row.requested_global_batch_size,
        row.global_batch_size,
        row.per_device,
        row.device_microbatch_size,
        row.microbatches,
    )
    if words := ragged(batch):
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


def ragged(batch: Division, automatic: bool = False) -> str:
    """The batch as in `asked 2048, runs 2016: 21 on each device, in 6 microbatches, the last of 1`; empty if exact.

    The microbatches of an `automatic` one are not known before it runs.
    """
    rest = 0 if automatic else batch.per_device % batch.microbatch
    if batch.run == batch.asked and not rest:
        return ""
    asked = f"asked {batch.asked}, runs {batch.run}: " if batch.run < batch.asked else ""
    many = "1 microbatch" if batch.microbatches == 1 else f"{batch.microbatches} microbatches"
    parts = "" if automatic else f", in {many}" + (f", the last of {rest}" if rest else "")
    return f"{asked}{batch.per_device} on each device{parts}"
