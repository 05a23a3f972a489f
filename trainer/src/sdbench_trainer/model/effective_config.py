"""Reads the settings that were really used from the built objects, and compares them with those asked for.

An Algorithm and not a Callback: Composer asks an algorithm only for the events that it matches.
"""

# ruff: noqa: ARG002 - Composer gives its hooks more than they need

from collections.abc import Iterable
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from sdbench_trainer.config import DataParallel, Encoding, Optimizer, Precision, TrainerConfig
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.model.ema import ExponentialMovingAverage, schedule
from sdbench_trainer.model.optimizations import DTYPES, PROCESSORS, is_channels_last
from sdbench_trainer.model.stable_diffusion import frozen_precision

ALONE = "single"
"""How the devices share the training where there is one."""

COMPUTED = {
    torch.float32: Precision.FP32.value,
    torch.float16: Precision.AMP_FP16.value,
    torch.bfloat16: Precision.AMP_BF16.value,
}


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _only(words: Iterable[str]) -> str:
    """The one word, or all of them where they differ: that is what nobody asked for."""
    return "+".join(sorted(set(words))) or "none"


def _model(state: State) -> Any:
    """The StableDiffusion, without DDP's wrapper."""
    return state.model.module if isinstance(state.model, DistributedDataParallel) else state.model


def _sharing(state: State) -> str:
    if all(isinstance(parameter, DTensor) for parameter in state.model.parameters()):
        return DataParallel.FSDP2.value
    return DataParallel.DDP.value if isinstance(state.model, DistributedDataParallel) else ALONE


def _attention(unet: Any) -> str:
    names = {kind: knob.value for knob, kind in PROCESSORS.items()}
    return _only(names.get(type(found), type(found).__name__) for found in unet.attn_processors.values())


def _layout(networks: Iterable[nn.Module]) -> str:
    layouts = (is_channels_last(weight) for network in networks for weight in network.parameters())
    return _only(_word(layout) for layout in layouts if layout is not None)


def _checkpointing(unet: nn.Module) -> str:
    flags = (getattr(module, "gradient_checkpointing", None) for module in unet.modules())
    return _only(_word(flag) for flag in flags if flag is not None)


def _implementation(group: dict[str, Any]) -> str:
    if group["fused"]:
        return Optimizer.FUSED.value
    return Optimizer.FOREACH.value if group["foreach"] or group["foreach"] is None else Optimizer.LOOP.value


def _average(algorithms: Iterable[Algorithm]) -> str:
    averages = [found for found in algorithms if isinstance(found, ExponentialMovingAverage)]
    return _only(schedule(found.smoothing, found.every_batches, found.start_batch) for found in averages)


def built_config(state: State) -> dict[str, str]:
    """What stands before the first step, by knob."""
    model = _model(state)
    frozen = [part for part in (model.frozen_parts.vae, model.frozen_parts.text_encoder) if part is not None]
    kinds = {dtype: knob.value for knob, dtype in DTYPES.items()}
    images = [model.unet, *(part for part in (model.frozen_parts.vae,) if part is not None)]
    return {
        "attention": _attention(model.unet),
        "channelsLast": _layout(images),
        "dataParallel": _sharing(state),
        "ema": _average(state.algorithms),
        "encoding": (Encoding.PRECOMPUTED if model.frozen_parts.vae is None else Encoding.ONLINE).value,
        "frozenPrecision": _only(kinds[weight.dtype] for part in frozen for weight in part.parameters()),
        "gradientCheckpointing": _checkpointing(model.unet),
        "optimizer": _only(_implementation(group) for made in state.optimizers for group in made.param_groups),
    }


def observed_config(state: State) -> dict[str, str]:
    """What the steps showed, by knob: the number format of the UNet's output, and whether graphs were compiled."""
    prediction = state.outputs[0]
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    compiled = _model(state).unet._compiled_call_impl is not None and graphs > 0
    return {"precision": COMPUTED[prediction.dtype], "compile": _word(compiled)}


def requested_config(config: TrainerConfig, devices: int) -> dict[str, str]:
    """The same words, as the knobs have them."""
    ema = config.ema
    shared = config.data_parallel is DataParallel.FSDP2 or devices > 1
    return {
        "attention": config.attention.value,
        "channelsLast": _word(config.channels_last),
        "compile": _word(config.compile),
        "dataParallel": config.data_parallel.value if shared else ALONE,
        "ema": schedule(float(ema.smoothing), ema.every_batches, ema.start_batch) if ema.enabled else _only(()),
        "encoding": config.encoding.value,
        "frozenPrecision": frozen_precision(config).value,
        "gradientCheckpointing": _word(config.gradient_checkpointing),
        "optimizer": config.optimizer.value,
        "precision": config.precision.value,
    }


def require_as_asked(found: dict[str, str], wanted: dict[str, str]) -> None:
    """Refuse a run that is not the one that was asked for. Raises ConfigInvalid."""
    for knob, word in found.items():
        if word != wanted[knob]:
            raise ConfigInvalid(f"trainer.{knob}: {wanted[knob]} was asked for, and {word} came out.")


class EffectiveConfig(Algorithm):  # type: ignore[misc]
    """Reads what is used, when the fit starts and when it ends."""

    def __init__(self, config: TrainerConfig, devices: int) -> None:
        self.workload: dict[str, str] = {}
        self.microbatch: int | None = None
        """Images that a device really took at once."""
        self._asked = requested_config(config, devices)

    def match(self, event: Event, state: State) -> bool:
        """Whether there is anything to read; by identity, since Composer's events compare slowly."""
        return event is Event.FIT_START or event is Event.FIT_END

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Read, and refuse what was not asked for."""
        self.workload = (
            built_config(state) if event == Event.FIT_START else {**built_config(state), **observed_config(state)}
        )
        self.microbatch = state.device_train_microbatch_size
        require_as_asked(self.workload, self._asked)
