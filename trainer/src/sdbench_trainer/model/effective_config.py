"""Reads the effective settings from the built objects, and refuses a run whose settings are not those requested."""

# ruff: noqa: ARG002 - Composer passes more to its hooks than they need

from collections.abc import Iterable
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from sdbench_trainer.config import DataParallel, Encoding, Optimizer, Precision, TrainerConfig
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.model.ema import ExponentialMovingAverage, schedule
from sdbench_trainer.model.optimizations import DTYPES, PROCESSORS, is_channels_last
from sdbench_trainer.model.stable_diffusion import frozen_precision

SINGLE = "single"
"""The value of dataParallel for one device with ddp."""

COMPUTED = {
    torch.float32: Precision.FP32.value,
    torch.float16: Precision.AMP_FP16.value,
    torch.bfloat16: Precision.AMP_BF16.value,
}


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _only(words: Iterable[str]) -> str:
    """The one word; all words joined if they differ, which nobody can have requested; "none" without words."""
    return "+".join(sorted(set(words))) or "none"


def _model(state: State) -> Any:
    """The StableDiffusion, without DDP's wrapper."""
    return state.model.module if isinstance(state.model, DistributedDataParallel) else state.model


def _sharing(state: State) -> str:
    if all(isinstance(parameter, DTensor) for parameter in state.model.parameters()):
        return DataParallel.FSDP2.value
    return DataParallel.DDP.value if isinstance(state.model, DistributedDataParallel) else SINGLE


def _implementation(group: dict[str, Any]) -> str:
    if group["fused"]:
        return Optimizer.FUSED.value
    # None leaves the choice to PyTorch, which takes foreach.
    return Optimizer.FOREACH.value if group["foreach"] or group["foreach"] is None else Optimizer.LOOP.value


def built_config(state: State) -> dict[str, str]:
    """The settings that are fixed before the first step, by name, as the built objects have them."""
    model = _model(state)
    unet, vae, text_encoder = model.unet, model.frozen_parts.vae, model.frozen_parts.text_encoder
    processors = {kind: knob.value for knob, kind in PROCESSORS.items()}
    kinds = {dtype: knob.value for knob, dtype in DTYPES.items()}
    convolutional = [unet, vae] if vae is not None else [unet]
    frozen = [vae, text_encoder] if vae is not None else [text_encoder]
    layouts = (is_channels_last(weight) for network in convolutional for weight in network.parameters())
    checkpointing = (getattr(module, "gradient_checkpointing", None) for module in unet.modules())
    averages = [found for found in state.algorithms if isinstance(found, ExponentialMovingAverage)]
    return {
        "attention": _only(processors.get(type(one), type(one).__name__) for one in unet.attn_processors.values()),
        "channelsLast": _only(_word(layout) for layout in layouts if layout is not None),
        "dataParallel": _sharing(state),
        "ema": _only(schedule(one.smoothing, one.every_batches, one.start_batch) for one in averages),
        "encoding": (Encoding.PRECOMPUTED if vae is None else Encoding.ONLINE).value,
        "frozenPrecision": _only(kinds[weight.dtype] for part in frozen for weight in part.parameters()),
        "gradientCheckpointing": _only(_word(flag) for flag in checkpointing if flag is not None),
        "optimizer": _only(_implementation(group) for made in state.optimizers for group in made.param_groups),
    }


def observed_config(state: State) -> dict[str, str]:
    """The settings that only the steps show, by name: the UNet's number format, and whether it was compiled."""
    prediction = state.outputs[0]
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    compiled = _model(state).unet._compiled_call_impl is not None and graphs > 0
    return {"precision": COMPUTED[prediction.dtype], "compile": _word(compiled)}


def requested_config(config: TrainerConfig, devices: int) -> dict[str, str]:
    """The same settings as requested, in the same words."""
    ema = config.ema
    shared = config.data_parallel is DataParallel.FSDP2 or devices > 1
    return {
        "attention": config.attention.value,
        "channelsLast": _word(config.channels_last),
        "compile": _word(config.compile),
        "dataParallel": config.data_parallel.value if shared else SINGLE,
        "ema": schedule(float(ema.smoothing), ema.every_batches, ema.start_batch) if ema.enabled else _only(()),
        "encoding": config.encoding.value,
        "frozenPrecision": frozen_precision(config).value,
        "gradientCheckpointing": _word(config.gradient_checkpointing),
        "optimizer": config.optimizer.value,
        "precision": config.precision.value,
    }


def require_as_asked(found: dict[str, str], wanted: dict[str, str]) -> None:
    """Refuses a run with other settings than those requested. Raises ConfigInvalid."""
    for knob, word in found.items():
        if word != wanted[knob]:
            raise ConfigInvalid(f"trainer.{knob}: {wanted[knob]} was requested, but the run uses {word}.")


class EffectiveConfig(Algorithm):  # type: ignore[misc]
    """Reads and checks the effective settings when the fit starts and when it ends.

    It is an Algorithm, not a Callback, because Composer calls an algorithm only at the events that it matches.
    """

    def __init__(self, config: TrainerConfig, devices: int) -> None:
        self.workload: dict[str, str] = {}
        self.microbatch: int | None = None
        """Images that a device really processed at once."""
        self._requested = requested_config(config, devices)

    def match(self, event: Event, state: State) -> bool:
        """Whether there is anything to read at this event."""
        # By identity, since Composer's events compare slowly.
        return event is Event.FIT_START or event is Event.FIT_END

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Reads the settings and compares them with those requested. Raises ConfigInvalid."""
        self.workload = built_config(state)
        if event == Event.FIT_END:
            self.workload |= observed_config(state)
        self.microbatch = state.device_train_microbatch_size
        require_as_asked(self.workload, self._requested)
