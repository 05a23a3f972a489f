"""Do all ranks train on the same kind of device? Asked once, after they have met: a mixture is no measurement."""

from collections.abc import Sequence

import torch.distributed as dist

from sdbench_trainer.errors import MixedDevices

SHOWN_KINDS = 4


def device_mismatch(names: Sequence[str]) -> str | None:
    """A sentence that names the devices and who has them, by rank; None where all have the same."""
    kinds = list(dict.fromkeys(names))
    if len(kinds) < 2:
        return None
    shares = (f"{names.count(kind)} of {len(names)} have {kind}, first rank {names.index(kind)}" for kind in kinds)
    return f"The ranks have different devices: {'; '.join(list(shares)[:SHOWN_KINDS])}."


def require_same_device(name: str) -> None:
    """Compare this rank's device with those of the others. Raises MixedDevices, on every rank."""
    if not dist.is_initialized():
        return
    names: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(names, name)
    if sentence := device_mismatch([str(name) for name in names]):
        raise MixedDevices(sentence)
