"""Runs one rank: seeds, builds data and model, trains until the window is complete, and reports.

`launch.py` starts it once for each device: `python -m sdbench_trainer.train`.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Mapping
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
from sdbench_trainer.measure.metrics import Telemetry, port, serve
from sdbench_trainer.measure.stopwatch import measurement
from sdbench_trainer.model.capabilities import require_capabilities
from sdbench_trainer.model.effective_config import EffectiveConfig
from sdbench_trainer.model.ema import ExponentialMovingAverage
from sdbench_trainer.model.optimizations import adamw, keep_compiled_below, parallelism
from sdbench_trainer.model.stable_diffusion import stable_diffusion
from sdbench_trainer.report import BatchTruth, Measurement, Report, ReportError
from sdbench_trainer.run import HEARTBEATS_FILE, OUTCOME_FILE, RUN_VARIABLE, RunConfig, division


@dataclass(frozen=True)
class Parts:
    """What is trained, and on which data."""

    model: ComposerModel
    loader: Any
    """Yields this rank's share of each global batch."""
    optimizer: torch.optim.Optimizer
    algorithms: tuple[Algorithm, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of Composer's Trainer, such as its parallelism and checkpoints."""


def batch_truth(run: RunConfig, microbatch: int | None = None) -> BatchTruth:
    """How the global batch is divided; `microbatch` is the size that a device really used, if known."""
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
    tokenizer = clip_tokenizer()
    if run.source.remote is None and run.source.local is None:
        return SyntheticImages(share, tokenizer, run.trainer.encoding)
    # One rank of each pod checks, which spares the store the requests of the others.
    if place.local_rank == 0:
        require_index(run.source)
    cache = (place.scratch or Path.cwd()) / "shards"
    return shard_loader(
        run.source, share, run.trainer, tokenizer, nodes=place.nodes, cache=cache, pinned=run.accelerator
    )


def build_parts(run: RunConfig, place: RankPlace, device: torch.device) -> Parts:
    """The Stable Diffusion that the run asks for, with its data, optimizer and average."""
    config, ema = run.trainer, run.trainer.ema
    require_capabilities(config, device)
    keep_compiled_below(place.scratch or Path.cwd())
    loader = images(run, place)
    model = stable_diffusion(config, token_ids(clip_tokenizer(), [""])[0], device)
    average = ExponentialMovingAverage(float(ema.smoothing), ema.every_batches, ema.start_batch)
    return Parts(
        model,
        loader,
        optimizer=adamw(model.parameters(), config),
        algorithms=(average,) if ema.enabled else (),
        settings={"parallelism_config": parallelism(config)},
    )


def microbatch(run: RunConfig) -> int | str:
    """Images that a device processes at once, or Composer's word for finding the largest number that fits."""
    return "auto" if run.trainer.automatic_microbatch else division(run.trainer, run.devices).microbatch


def trainer_of(run: RunConfig, parts: Parts, loader: TimedLoader, window: WindowCallback) -> Trainer:
    """Composer's Trainer with every argument set that must not depend on Composer's defaults."""
    # Composer asks py-cpuinfo for the CPU's name, which costs a second and a process on every rank.
    composer.utils.collect_env.get_cpu_model = lambda: "not asked"
    trainer = Trainer(
        model=parts.model,
        train_dataloader=loader,
        optimizers=parts.optimizer,
        algorithms=parts.algorithms,
        callbacks=[window],
        # The callback ends the training: a number of batches would not fit a warm-up in seconds.
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
    # The engine formats a line for every event, callback and algorithm, and discards it unless ENGINE_DEBUG is set.
    if not os.environ.get("ENGINE_DEBUG"):
        trainer.engine._debug_log = lambda *_: None
    return trainer


def fit(run: RunConfig, parts: Parts, pulse: HeartbeatWriter, telemetry: Telemetry | None) -> Measurement:
    """Trains until the window is complete. The Measurement is the same on every rank, with the steps of rank 0.

    Raises WindowIncomplete, DataMissing, LossNotFinite.
    """
    size = batch_truth(run).global_batch_size
    loader = TimedLoader(parts.loader, Replaced(planned_samples(run.trainer, size), shared_store()))
    window = WindowCallback(run.trainer.window, loader, size, pulse, telemetry)
    trainer = trainer_of(run, parts, loader, window)
    trainer.fit()
    pulse.enter(RankPhase.FINISHING)
    if window.rank_window is None:
        raise WindowIncomplete("The training ended before its window was complete.")
    ranks = dist.all_gather_object(window.rank_window)
    # Each rank has its own clock, so the steps of one rank are those of all.
    of_rank_0 = [(window.stopwatch.steps, window.loss)]
    dist.broadcast_object_list(of_rank_0, src=0)
    require_few(sum(rank.replaced_samples for rank in ranks), int(trainer.state.timestamp.batch) * size)
    trainer.close()
    steps, loss = of_rank_0[0]
    return measurement(run.trainer.window, steps, size, ranks, loss)


def train_rank(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    """Runs one rank; rank 0 also serves the metrics and returns the whole Report."""
    telemetry = Telemetry(run.trainer.model.value, device_memory=run.accelerator) if place.rank == 0 else None
    if telemetry is not None:
        serve(telemetry, port())
    device = device_of(run, place)
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    require_same_device(device_name(run))
    # Composer's Trainer seeds again; this seed covers what is built before it.
    reproducibility.seed_all(run.trainer.seed)
    parts, effective = build_parts(run, place, device), EffectiveConfig(run.trainer, run.devices)
    parts = replace(parts, algorithms=(*parts.algorithms, effective))
    if telemetry is None:
        return Report(attempt=run.attempt, measurement=fit(run, parts, pulse, None))
    # Counted before the training, so that it does not disturb the window and /metrics shows the utilisation at once.
    arithmetic = Arithmetic(flops_per_image(run.trainer), run.devices, peak(run))
    telemetry.utilisation(arithmetic.mfu_ratio)
    result = fit(run, parts, pulse, telemetry)
    return Report(
        attempt=run.attempt,
        measurement=result.model_copy(update={"mfu_ratio": arithmetic.mfu_ratio(result.images_per_second)}),
        batch=batch_truth(run, effective.microbatch),
        environment=environment(run, effective.workload, arithmetic.flop),
    )


def run_rank(program: Callable[[RunConfig, RankPlace, HeartbeatWriter], Report] = train_rank) -> None:
    """Runs one rank and leaves its outcome for PID 1; the process exits with the code of its failure."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    run, place = RunConfig.model_validate_json(os.environ[RUN_VARIABLE]), rank_place_in(os.environ)
    pulse = HeartbeatWriter(place.scratch / HEARTBEATS_FILE if place.scratch else None, place.local_rank)
    try:
        _leave_outcome(program(run, place, pulse), place)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code, where = exit_code(error), PHASE_WORDS[pulse.phase]
        cause = ReportError(code=code, rank=place.rank, where=where, tail=error_sentence(error))
        _leave_outcome(Report(attempt=run.attempt, error=cause), place)
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: other threads, and collectives that wait for lost peers, could keep the process from ending.
        os._exit(code)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _leave_outcome(report: Report, place: RankPlace) -> None:
    """Writes the outcome where PID 1 finds it."""
    if place.scratch is not None:
        (place.scratch / OUTCOME_FILE.format(place.local_rank)).write_text(report.model_dump_json(by_alias=True))


if __name__ == "__main__":
    run_rank()
