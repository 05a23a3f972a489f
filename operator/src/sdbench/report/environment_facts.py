"""Lists what was asked and what it was measured on: the facts that let a reader trust or repeat the numbers."""

from collections.abc import Iterator
from typing import Any

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Devices, Repeats
from sdbench.api.status import EnvironmentRow
from sdbench.report.answers import percent
from sdbench_trainer.config import Ema, FrozenPrecision, TrainerConfig, Window

Fact = tuple[str, str]
"""A term and what holds for it."""


def question_facts(benchmark: Benchmark) -> Iterator[Fact]:
    """The knobs that explain a rate; what a sweep varies stands in a line of its own."""
    spec, trainer = benchmark.spec, benchmark.spec.trainer
    yield "Model", f"{trainer.model.value}, {trainer.image_size} × {trainer.image_size} px, {trainer.precision.value}"
    yield "Workload", ", ".join(_workload(trainer))
    yield "Batch", _batch(trainer)
    yield "Scaling", spec.scaling.value
    yield "EMA", _ema(trainer.ema)
    yield "Window", _window(trainer.window)
    yield "Repeats", repeats(spec.repeats)
    if spec.sweep:
        yield "Sweep", "; ".join(_axes(spec.sweep))
    yield "Images", _images(benchmark)
    yield "Devices", _devices(spec.devices)


def _workload(trainer: TrainerConfig) -> Iterator[str]:
    yield f"{trainer.attention.value} attention"
    yield trainer.data_parallel.value
    yield f"{trainer.optimizer.value} AdamW"
    yield f"latents {trainer.encoding.value}"
    if trainer.frozen_precision is not FrozenPrecision.MATCHING:
        yield f"VAE and text encoder in {trainer.frozen_precision.value}"
    flags = {
        "channels last": trainer.channels_last,
        "compiled": trainer.compile,
        "gradient checkpointing": trainer.gradient_checkpointing,
    }
    yield from (word for word, on in flags.items() if on)


def _batch(trainer: TrainerConfig) -> str:
    size = f"of {trainer.device_microbatch_size:,} or fewer"
    found = "as large as fit the device" if trainer.automatic_microbatch else size
    ragged = ", cut where they do not divide" if trainer.allow_ragged_batch else ""
    return f"{trainer.global_batch_size:,} images, microbatches {found}{ragged}"


def _ema(ema: Ema) -> str:
    if not ema.enabled:
        return "off"
    every = f", every {ema.every_batches:,} batches" if ema.every_batches > 1 else ""
    start = f", from batch {ema.start_batch:,} on" if ema.start_batch else ""
    return f"smoothing {ema.smoothing}{every}{start}"


def _window(window: Window) -> str:
    seconds = f" and {window.warmup_seconds:,} s" if window.warmup_seconds else ""
    return (
        f"{window.batches:,} batches after a warm-up of {window.warmup_batches:,} batches{seconds}; disturbed where "
        f"strangers take more than {percent(window.max_foreign_cpu_ratio)} of a host's CPU time"
    )


def _axes(sweep: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, values in sorted(sweep.items()):
        if isinstance(values, dict):
            yield from _axes(values, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} {', '.join(str(value) for value in values)}"


def _devices(devices: Devices) -> str:
    peak = f", {devices.peak_teraflops} TFLOP/s each at most" if devices.peak_teraflops is not None else ""
    return f"{devices.resource or 'CPU processes'}{peak}"


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
    yield from dict.fromkeys(fact for row in environments for fact in _as_it_was_run(row))
    if not environments:
        yield "Environment", "nothing was measured yet"


def _images(benchmark: Benchmark) -> str:
    data = benchmark.spec.data
    if data.remote is not None:
        return f"shards from {data.remote}"
    return f"shards from the claim {data.claim}" if data.claim is not None else "synthetic"


def _as_it_was_run(row: EnvironmentRow) -> Iterator[Fact]:
    """What was really used, and what MFU was computed from."""
    if row.workload:
        yield "Really used", " · ".join(f"{knob} {used}" for knob, used in sorted(row.workload.items()))
    if row.flops_per_image is not None:
        yield "FLOP per image", f"{row.flops_per_image / 10**9:,.1f} G"
    peak = "unknown" if row.peak_teraflops is None else f"{row.peak_teraflops:,f} TFLOP/s"
    yield "Peak of a device", peak


def _environment(row: EnvironmentRow) -> str:
    parts = [row.device, *(f"{name} {version}" for name, version in sorted(row.versions.items()))]
    parts += [f"driver {row.driver}"] if row.driver else []
    parts += [f"NCCL {row.nccl}"] if row.nccl else []
    parts += [f"image {row.image_id}"] if row.image_id else []
    parts += [f"configuration {row.config_hash}"]
    return " · ".join(parts)
