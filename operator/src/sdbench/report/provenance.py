"""What was asked, and on what was it measured? Facts that a reader needs to trust or repeat the numbers."""

from collections.abc import Iterator

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Repeats
from sdbench.api.status import EnvironmentRow
from sdbench.report.answer import percent

Fact = tuple[str, str]
"""A term and what holds for it."""


def question_facts(benchmark: Benchmark) -> Iterator[Fact]:
    """The knobs that explain a rate."""
    spec, trainer = benchmark.spec, benchmark.spec.trainer
    ema = f"smoothing {trainer.ema.smoothing}" if trainer.ema.enabled else "off"
    window = trainer.window
    warmup = f"{window.warmup_batches:,} batches" + (
        f" and {window.warmup_seconds:,} s" if window.warmup_seconds else ""
    )
    yield "Model", f"{trainer.model.value}, {trainer.image_size} × {trainer.image_size} px, {trainer.precision.value}"
    yield "Batch", f"{trainer.global_batch_size:,} images, microbatches of {trainer.device_microbatch_size:,} or fewer"
    yield "Scaling", spec.scaling.value
    yield "EMA", ema
    yield "Window", f"{window.batches:,} batches after a warm-up of {warmup}"
    yield "Repeats", repeats(spec.repeats)
    yield "Images", _images(benchmark)
    yield "Devices", spec.devices.resource or "CPU processes"


def repeats(asked: Repeats) -> str:
    """How often each Point is measured."""
    if asked.most == asked.min:
        return str(asked.min)
    target = asked.target_coefficient_of_variation
    return f"{asked.min} to {asked.most}" + (f", until they vary by {percent(target)} or less" if target else "")


def environment_facts(benchmark: Benchmark) -> Iterator[Fact]:
    """What was pinned, and each environment that Trials ran in."""
    if benchmark.status.resolved is not None:
        yield "Image", benchmark.status.resolved.image
        yield "Decided by", f"sdbench {benchmark.status.resolved.operator_version}"
    environments = benchmark.status.environments
    for row in environments:
        prefix = f"{row.device_count} × " if len(environments) > 1 else ""
        yield "Environment", f"{prefix}{_environment(row)}"
    if not environments:
        yield "Environment", "nothing was measured yet"


def _images(benchmark: Benchmark) -> str:
    data = benchmark.spec.data
    if data.remote is not None:
        return f"shards from {data.remote}"
    return f"shards from the claim {data.claim}" if data.claim is not None else "synthetic"


def _environment(row: EnvironmentRow) -> str:
    parts = [row.device, *(f"{name} {version}" for name, version in sorted(row.versions.items()))]
    parts += [f"driver {row.driver}"] if row.driver else []
    parts += [f"NCCL {row.nccl}"] if row.nccl else []
    parts += [f"image {row.image_id}"] if row.image_id else []
    parts += [f"configuration {row.config_hash}"]
    return " · ".join(parts)
