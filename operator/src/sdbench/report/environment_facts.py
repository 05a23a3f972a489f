"""Lists the facts that let a reader trust or repeat the numbers: what was asked, and what it was measured on."""

from collections.abc import Iterator
from typing import Any

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Repeats
from sdbench.api.status import EnvironmentRow
from sdbench.core.format import percent
from sdbench_trainer.config import FrozenPrecision, TrainerConfig

Fact = tuple[str, str]
"""A term and its value."""


def question_facts(benchmark: Benchmark) -> Iterator[Fact]:
    """The settings that explain a rate; the values of a sweep have a line of their own."""
    spec, trainer = benchmark.spec, benchmark.spec.trainer
    yield "Model", f"{trainer.model.value}, {trainer.image_size} × {trainer.image_size} px, {trainer.precision.value}"
    yield "Workload", ", ".join(_workload(trainer))
    size = f"of {trainer.device_microbatch_size:,} or fewer"
    microbatches = f"microbatches {'as large as fit the device' if trainer.automatic_microbatch else size}"
    ragged = ", cut where they do not divide" if trainer.allow_ragged_batch else ""
    yield "Batch", f"{trainer.global_batch_size:,} images, {microbatches}{ragged}"
    yield "Scaling", spec.scaling.value
    ema = trainer.ema
    every = f", every {ema.every_batches:,} batches" if ema.every_batches > 1 else ""
    start = f", from batch {ema.start_batch:,} on" if ema.start_batch else ""
    yield "EMA", f"smoothing {ema.smoothing}{every}{start}" if ema.enabled else "off"
    window = trainer.window
    seconds = f" and {window.warmup_seconds:,} s" if window.warmup_seconds else ""
    share = percent(window.max_foreign_cpu_ratio)
    disturbed = f"disturbed if other processes take more than {share} of a host's CPU time"
    warmup = f"a warm-up of {window.warmup_batches:,} batches{seconds}"
    yield "Window", f"{window.batches:,} batches after {warmup}; {disturbed}"
    yield "Repeats", repeats(spec.repeats)
    if spec.sweep:
        yield "Sweep", "; ".join(_axes(spec.sweep))
    claim = f"shards from the claim {spec.data.claim}" if spec.data.claim is not None else "synthetic"
    yield "Images", claim if spec.data.remote is None else f"shards from {spec.data.remote}"
    peak = spec.devices.peak_teraflops
    each = f", {peak} TFLOP/s each at most" if peak is not None else ""
    yield "Devices", f"{spec.devices.resource or 'CPU processes'}{each}"


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


def _axes(sweep: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, values in sorted(sweep.items()):
        if isinstance(values, dict):
            yield from _axes(values, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} {', '.join(str(value) for value in values)}"


def repeats(asked: Repeats) -> str:
    """The number of repeats of each Point."""
    if asked.most == asked.min:
        return str(asked.min)
    target = asked.target_coefficient_of_variation
    return f"{asked.min} to {asked.most}" + (f", until they vary by {percent(target)} or less" if target else "")


def environment_facts(benchmark: Benchmark) -> Iterator[Fact]:
    """The pinned image and version, and each environment in which Trials ran."""
    if benchmark.status.resolved is not None:
        yield "Image", benchmark.status.resolved.image
        yield "Decided by", f"sdbench {benchmark.status.resolved.operator_version}"
    environments = benchmark.status.environments
    if not environments:
        yield "Environment", "nothing was measured yet"
    for row in environments:
        prefix = f"{row.device_count} × " if len(environments) > 1 else ""
        yield "Environment", f"{prefix}{_environment(row)}"
    # Environments that differ in their device count alone share these facts.
    yield from dict.fromkeys(fact for row in environments for fact in _effective_facts(row))


def _effective_facts(row: EnvironmentRow) -> Iterator[Fact]:
    """The settings that were really used, and the values that MFU was computed from."""
    if row.workload:
        yield "Really used", " · ".join(f"{knob} {used}" for knob, used in sorted(row.workload.items()))
    if row.flops_per_image is not None:
        yield "FLOP per image", f"{row.flops_per_image / 10**9:,.1f} G"
    yield "Peak of a device", "unknown" if row.peak_teraflops is None else f"{row.peak_teraflops:,f} TFLOP/s"


def _environment(row: EnvironmentRow) -> str:
    parts = [row.device, *(f"{name} {version}" for name, version in sorted(row.versions.items()))]
    parts += [f"driver {row.driver}"] if row.driver else []
    parts += [f"NCCL {row.nccl}"] if row.nccl else []
    parts += [f"image {row.image_id}"] if row.image_id else []
    parts += [f"configuration {row.config_hash}"]
    return " · ".join(parts)
