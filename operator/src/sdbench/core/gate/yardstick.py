"""How fast was each Point of a question in the baseline that its gate names? Known before the Point is measured.

As core/gate/baseline.py compares: a complete Benchmark of the same namespace; the same label, model, image size and
global batch; and the same kind of device, once this Benchmark has measured the Point and so knows on what.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ConditionStatus, ConditionType, PointRow
from sdbench.core.measure.evidence import device_difference, environments_of
from sdbench.core.plan.grid import Point
from sdbench_trainer.run import division

Planned = Callable[[Benchmark], Mapping[str, Point]]
"""The Points of a Benchmark by their labels; none where this version cannot plan it."""


def baseline_rates(benchmark: Benchmark, base: Benchmark, planned: Planned) -> Iterator[tuple[Point, Decimal]]:
    """The baseline's median images/s of each Point that the two have in common."""
    if not _complete(base):
        return
    points, others = planned(benchmark), planned(base)
    for row in base.status.points:
        point, other = points.get(row.point), others.get(row.point)
        if point and other and _same_training(point, other, row) and _same_devices(row.point, benchmark, base):
            yield point, row.median_images_per_second


def _complete(benchmark: Benchmark) -> bool:
    held = (one.type for one in benchmark.status.conditions if one.status is ConditionStatus.TRUE)
    return ConditionType.COMPLETE in held


def _same_training(point: Point, other: Point, row: PointRow) -> bool:
    mine, theirs = point.config, other.config
    batch = division(mine, point.devices).run
    return (mine.model, mine.image_size, batch) == (theirs.model, theirs.image_size, row.global_batch_size)


def _same_devices(label: str, benchmark: Benchmark, base: Benchmark) -> bool:
    mine = environments_of(label, benchmark.status)
    return not mine or not device_difference(mine, environments_of(label, base.status))
