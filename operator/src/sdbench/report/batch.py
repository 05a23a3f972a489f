"""Words the batch that runs in place of one that does not divide."""

from sdbench.api.status import PointRow
from sdbench_trainer.run import Division


def division_of(row: PointRow) -> Division:
    """The division of a measured Point's batch."""
    return Division(
        row.requested_global_batch_size,
        row.global_batch_size,
        row.per_device,
        row.device_microbatch_size,
        row.microbatches,
    )


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
