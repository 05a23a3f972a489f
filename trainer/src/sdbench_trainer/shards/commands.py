"""Carries out `shards build` and `shards check`, with the trainer's exit codes."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from sdbench_trainer.config import FrozenPrecision
from sdbench_trainer.data.index import Index
from sdbench_trainer.report import ExitCode
from sdbench_trainer.shards.building import LEFT_OUT, Built, Order, build_order
from sdbench_trainer.shards.checking import Tally, check
from sdbench_trainer.shards.encoders import Encoder, Jpegs, Latents
from sdbench_trainer.shards.items import Columns, ShardsRefused
from sdbench_trainer.shards.progress import progress
from sdbench_trainer.shards.workers import WorkerLost, cores

SHOWN = 10


def _refused(sentence: str, code: ExitCode) -> int:
    sys.stderr.write(f"{sentence}\n")
    return int(code)


def _told(act: Callable[[], int]) -> int:
    """The exit code of an act, whose known failures are sentences."""
    try:
        return act()
    except ShardsRefused as refused:
        return _refused(str(refused), ExitCode.DATA_MISSING)
    except WorkerLost as lost:
        return _refused(f"{lost} Give fewer --workers; a build goes on from here.", ExitCode.BUG)
    except OSError as error:
        return _refused(f"{error.filename or 'A file'}: {error.strerror or error}.", ExitCode.DATA_MISSING)


def _unfit_device(options: argparse.Namespace) -> str | None:
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        return f"--device {options.device} is unknown; it is cpu, cuda or cuda:N."
    if options.device == "cpu":
        slow = options.precision is FrozenPrecision.FP16
        return "--precision fp16 needs a GPU; a CPU takes fp32 or bf16." if slow else None
    number = torch.device(options.device).index or 0
    if torch.cuda.device_count() <= number:
        return f"--device {options.device} was asked for; PyTorch sees {torch.cuda.device_count()} GPUs."
    return None


def _encoder(options: argparse.Namespace) -> Encoder:
    if not options.latents:
        return Jpegs(options.image_size)
    return Latents(options.image_size, options.model, options.seed, options.precision, options.device)


def _workers(options: argparse.Namespace) -> int:
    """One process a core; one for a GPU, which several would only share."""
    gpu = getattr(options, "latents", False) and options.device != "cpu"
    return options.workers or (1 if gpu else cores())


def _tell_built(built: Built, order: Order) -> None:
    for skipped in built.first:
        sys.stderr.write(f"Left out {skipped.name}: {skipped.reason.value} {skipped.detail}".rstrip() + "\n")
    count = built.left_out.total()
    if count > len(built.first):
        sys.stderr.write(f"… and {count - len(built.first)} more, all in {order.out / LEFT_OUT}.\n")
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(built.left_out.items()))
    captions = f", {built.without_caption} without a caption" if built.without_caption else ""
    left_out = f", {count} left out ({reasons})" if count else ""
    sys.stdout.write(f"{built.written} images in {order.out} (read as {built.format.value}){captions}{left_out}.\n")


def _build(options: argparse.Namespace) -> int:
    given = {"file": options.file_column, "caption": options.caption_column}
    columns = Columns(**{name: value for name, value in given.items() if value})
    order = Order(options.source, options.out, options.format, columns, _encoder(options), options.overwrite)
    with progress("shards", "image") as tell:
        built = build_order(order, workers=_workers(options), tell=tell)
    _tell_built(built, order)
    return 0


def build_command(options: argparse.Namespace) -> int:
    """`shards build`; the exit code."""
    if options.latents and (unfit := _unfit_device(options)):
        return _refused(unfit, ExitCode.CONFIG_INVALID)
    return _told(lambda: _build(options))


def _sizes(tally: Tally) -> str:
    if not tally.sizes:
        return "none"
    ordered = sorted(tally.sizes, key=lambda size: size[0] * size[1])
    (width, height), (wide, high) = ordered[0], ordered[-1]
    return f"{width}×{height}" if len(ordered) == 1 else f"{width}×{height} … {wide}×{high}"


def _tell_checked(index: Index, tally: Tally, listed: Path | None) -> None:
    for one in tally.unreadable[:SHOWN]:
        sys.stderr.write(f"Sample {one.sample}: {one.fault.reason.value} {one.fault.detail}\n")
    if len(tally.unreadable) > SHOWN:
        more = f"all in {listed}" if listed else "--unreadable FILE writes all"
        sys.stderr.write(f"… and {len(tally.unreadable) - SHOWN} more; {more}.\n")
    if listed:
        rows = ({"sample": u.sample, "reason": u.fault.reason, "detail": u.fault.detail} for u in tally.unreadable)
        listed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    kind = index.description.encoding.value if index.description else "written by others"
    rows_of = {
        "samples": f"{tally.samples} ({kind})",
        "unreadable": str(len(tally.unreadable)),
        "images": _sizes(tally),
        "empty captions": str(tally.without_caption),
        "bytes": str(tally.size_bytes),
    }
    sys.stdout.write("".join(f"{name:<16}{value}\n" for name, value in rows_of.items()))


def _check(options: argparse.Namespace) -> int:
    with progress("check", "sample") as tell:
        index, tally = check(options.shards, workers=_workers(options), tell=tell)
    _tell_checked(index, tally, options.unreadable)
    return 0 if tally.samples and not tally.unreadable else int(ExitCode.DATA_MISSING)


def check_command(options: argparse.Namespace) -> int:
    """`shards check`; the exit code."""
    return _told(lambda: _check(options))
