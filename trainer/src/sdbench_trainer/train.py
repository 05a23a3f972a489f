"""Runs one rank; read it from top to bottom: seed, data, model, Trainer, fit, report.

Started by `launch.py`, once for each device: `python -m sdbench_trainer.train`.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import composer.utils.collect_env
import torch
from composer import Trainer
from composer.core import Algorithm
from composer.models import ComposerModel
from composer.utils import dist, reproducibility

from sdbench_trainer.data.mds import Share, shard_loader
from sdbench_trainer.data.remote import require_index
from sdbench_trainer.data.synthetic import SyntheticImages
from sdbench_trainer.data.timed_loader import Replaced, TimedLoader, planned_samples, require_few, shared_store
from sdbench_trainer.data.tokenizer import clip_tokenizer, token_ids
from sdbench_trainer.distributed import RankPlace, device_of, meet, rank_place_in, require_same_device
from sdbench_trainer.errors import WindowIncomplete, error_sentence, exit_code
from sdbench_trainer.heartbeat import PHASE_WORDS, HeartbeatWriter, RankPhase
from sdbench_trainer.measure.callback import NEVER, WindowCallback
from sdbench_trainer.measure.environment import device_name, environment, peak
from sdbench_trainer.measure.flops import Arithmetic, flops_per_image
from sdbench_trainer.measure.metrics import Telemetry, host_memory_peak_bytes, port, serve
from sdbench_trainer.measure.stopwatch import RankWindow, measurement
from sdbench_trainer.model.capabilities import require_capabilities
from sdbench_trainer.model.effective_config import EffectiveConfig
from sdbench_trainer.model.ema import ExponentialMovingAverage
from sdbench_trainer.model.optimizations import adamw, keep_compiled_below, parallelism
from sdbench_trainer.model.stable_diffusion import stable_diffusion
from sdbench_trainer.report import BatchTruth, Measurement, Report, ReportError
from sdbench_trainer.run import RUN_VARIABLE, RunConfig, division


@dataclass(frozen=True)
class Parts:
    """What is trained, on what."""

    model: ComposerModel
    loader: Any
    """Yields this rank's share of each global batch."""
    optimizer: torch.optim.Optimizer
    algorithms: tuple[Algorithm, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of Composer's Trainer, such as its parallelism and checkpoints."""


def batch_truth(run: RunConfig, microbatch: int | None = None) -> BatchTruth:
    """How the global batch is divided; `microbatch`: the images that a device really took at once, where known."""
    divided = division(run.trainer, run.devices)
    return BatchTruth(
        requested_global_batch_size=divided.asked,
        global_batch_size=divided.run,
        per_device=divided.per_device,
        microbatches=-(-divided.per_device // (microbatch or divided.microbatch)),
    )


def images(run: RunConfig, place: RankPlace) -> Any:
    """This rank's loader. Raises DataMissing, ConfigInvalid."""
    share = Share(run.trainer.image_size, batch_truth(run).per_device, place.rank, place.world, run.trainer.seed)
    if run.source.remote is None and run.source.local is None:
        return SyntheticImages(share, clip_tokenizer(), run.trainer.encoding)
    if place.local_rank == 0:
        require_index(run.source)
    cache = (place.scratch or Path.cwd()) / "shards"
    return shard_loader(
        run.source,
        share,
        run.trainer,
        clip_tokenizer(),
        nodes=place.nodes,
        cache=cache,
        pinned=run.accelerator,
    )


def build_parts(run: RunConfig, place: RankPlace, device: torch.device) -> Parts:
    """The Stable Diffusion that the run asks for, with its data, optimiser and average."""
    config, ema = run.trainer, run.trainer.ema
    require_capabilities(config, device)
    keep_compiled_below(place.scratch or Path.cwd())
    loader = images(run, place)
    model = stable_diffusion(config, token_ids(clip_tokenizer(), [""])[0], device)
    average = ExponentialMovingAverage(float(ema.smoothing), ema.every_batches, ema.start_batch)
    optimizer, averages = adamw(model.parameters(), config), (average,) if ema.enabled else ()
    return Parts(model, loader, optimizer, averages, {"parallelism_config": parallelism(config)})


def _no_subprocess() -> str:
    """Composer asks py-cpuinfo for this, which costs a second and a process on every rank."""
    return "not asked"


def microbatch(run: RunConfig) -> int | str:
    """Images that a device takes at once, or Composer's word for finding out."""
    return "auto" if run.trainer.automatic_microbatch else division(run.trainer, run.devices).microbatch


def _unsaid(*_: object) -> None:
    """Composer words a line for each event, callback and algorithm, and throws it away unless ENGINE_DEBUG is set."""


def trainer_of(run: RunConfig, parts: Parts, loader: TimedLoader, watch: WindowCallback) -> Trainer:
    """Composer's Trainer with everything named that a benchmark must not leave to defaults."""
    composer.utils.collect_env.get_cpu_model = _no_subprocess
    trainer = Trainer(
        model=parts.model,
        train_dataloader=loader,
        optimizers=parts.optimizer,
        algorithms=parts.algorithms,
        callbacks=[watch],
        max_duration=NEVER,
        device="gpu" if run.accelerator else "cpu",
        precision=run.trainer.precision.value,
        device_train_microbatch_size=microbatch(run),
        seed=run.trainer.seed,
        run_name=run.attempt,
        loggers=[],
        progress_bar=False,
        spin_dataloaders=False,
        **parts.settings,
    )
    if not os.environ.get("ENGINE_DEBUG"):
        trainer.engine._debug_log = _unsaid
    return trainer


def rank_window(watch: WindowCallback, loader: TimedLoader) -> RankWindow:
    """This rank's part of the window. Raises WindowIncomplete."""
    if watch.seen is None:
        raise WindowIncomplete("The training ended before its window was complete.")
    return RankWindow(
        wait_seconds=watch.seen.wait_seconds,
        forward_seconds=watch.seen.forward_seconds,
        host_memory_peak_bytes=host_memory_peak_bytes(),
        device_memory_peak_bytes=watch.seen.device_memory_peak_bytes,
        cpu=watch.seen.cpu,
        replaced_samples=loader.replaced.on_this_rank,
    )


def fit(run: RunConfig, parts: Parts, pulse: HeartbeatWriter, telemetry: Telemetry | None) -> Measurement:
    """Train until the window is complete; the same Measurement on every rank, its steps those of rank 0."""
    size = batch_truth(run).global_batch_size
    loader = TimedLoader(parts.loader, Replaced(planned_samples(run.trainer, size), shared_store()))
    watch = WindowCallback(run.trainer.window, loader, size, pulse, telemetry)
    trainer = trainer_of(run, parts, loader, watch)
    trainer.fit()
    pulse.enter(RankPhase.FINISHING)
    ranks = dist.all_gather_object(rank_window(watch, loader))
    seen = [watch.seen]
    dist.broadcast_object_list(seen, src=0)
    require_few(sum(rank.replaced_samples for rank in ranks), int(trainer.state.timestamp.batch) * size)
    trainer.close()
    assert seen[0] is not None
    return measurement(run.trainer.window, seen[0].steps, size, ranks, seen[0].loss)


def rank0_report(run: RunConfig, result: Measurement, inspection: EffectiveConfig, counted: Arithmetic) -> Report:
    """What rank 0 leaves after its training; the arithmetic was counted before it."""
    return Report(
        attempt=run.attempt,
        measurement=result.model_copy(update={"mfu_ratio": counted.mfu_ratio(result.images_per_second)}),
        batch=batch_truth(run, inspection.microbatch),
        environment=environment(run, inspection.workload, counted.flop),
    )


def train_rank(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    """The whole run of one rank; rank 0 serves the metrics, and counts the arithmetic before anything is measured."""
    telemetry = Telemetry(run.trainer.model.value, device_memory=run.accelerator) if place.rank == 0 else None
    if telemetry is not None:
        serve(telemetry, port())
    device = device_of(run, place)
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    require_same_device(device_name(run))
    reproducibility.seed_all(run.trainer.seed)
    parts, inspection = build_parts(run, place, device), EffectiveConfig(run.trainer, run.devices)
    parts = replace(parts, algorithms=(*parts.algorithms, inspection))
    if telemetry is None:
        return Report(attempt=run.attempt, measurement=fit(run, parts, pulse, None))
    counted = Arithmetic(flops_per_image(run.trainer), run.devices, peak(run))
    telemetry.utilisation(counted.mfu_ratio)
    return rank0_report(run, fit(run, parts, pulse, telemetry), inspection, counted)


def failed(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter, error: BaseException) -> Report:
    """What a rank leaves that could not train."""
    cause = ReportError(
        code=exit_code(error), rank=place.rank, where=PHASE_WORDS[pulse.phase], tail=error_sentence(error)
    )
    return Report(attempt=run.attempt, error=cause)


def leave_outcome(report: Report, place: RankPlace) -> None:
    """Put the outcome where PID 1 finds it."""
    if place.scratch is not None:
        (place.scratch / f"outcome-{place.local_rank}.json").write_text(report.model_dump_json(by_alias=True))


def run_rank(program: Any = train_rank) -> None:
    """Run one rank; the process ends with the exit code of its cause."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    run, place = RunConfig.model_validate_json(os.environ[RUN_VARIABLE]), rank_place_in(os.environ)
    pulse = HeartbeatWriter(place.scratch / "beats" if place.scratch else None, place.local_rank)
    try:
        leave_outcome(program(run, place, pulse), place)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        report = failed(run, place, pulse, error)
        leave_outcome(report, place)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code(error))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    run_rank()
