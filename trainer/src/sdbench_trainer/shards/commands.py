"""Runs `shards build` and `shards check`, prints their results, and returns the trainer's exit codes."""

import argparse
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from sdbench_trainer.config import FrozenPrecision
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.report import ExitCode
from sdbench_trainer.shards.building import LEFT_OUT, MAX_NAMED, BuildRequest, build_shards
from sdbench_trainer.shards.checking import Tally, check
from sdbench_trainer.shards.encoders import Jpegs, Latents
from sdbench_trainer.shards.items import Columns, ShardsRefused
from sdbench_trainer.shards.progress import progress
from sdbench_trainer.shards.workers import WorkerLost


def run_command(options: argparse.Namespace) -> int:
    """Runs `shards build` or `shards check` and returns its exit code; an expected failure is printed as a sentence."""
    try:
        return _build(options) if options.verb == "build" else _check(options)
    except ConfigInvalid as invalid:
        sentence, code = str(invalid), ExitCode.CONFIG_INVALID
    except ShardsRefused as refused:
        sentence, code = str(refused), ExitCode.DATA_MISSING
    except WorkerLost as lost:
        sentence, code = f"{lost} Use fewer --workers. A build continues where it stopped.", ExitCode.BUG
    except OSError as error:
        sentence, code = f"{error.filename or 'A file'}: {error.strerror or error}.", ExitCode.DATA_MISSING
    sys.stderr.write(f"{sentence}\n")
    return int(code)


def _require_device(options: argparse.Namespace) -> None:
    """Raises ConfigInvalid if --device or --precision cannot be used."""
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        raise ConfigInvalid(f"--device {options.device} is not supported. Use cpu, cuda or cuda:N.")
    if options.device == "cpu":
        if options.precision is FrozenPrecision.FP16:
            raise ConfigInvalid("--precision fp16 needs a GPU. Use fp32 or bf16 on a CPU.")
    elif (torch.device(options.device).index or 0) >= (count := torch.cuda.device_count()):
        raise ConfigInvalid(
            f"--device {options.device} does not exist: PyTorch finds {count} GPUs. Use another device, or cpu."
        )


def _workers(options: argparse.Namespace) -> int:
    """The number of processes: by default one per core, or one for a GPU, which several would only share."""
    gpu = getattr(options, "latents", False) and options.device != "cpu"
    return options.workers or (1 if gpu else len(os.sched_getaffinity(0)))


def _build(options: argparse.Namespace) -> int:
    if options.latents:
        _require_device(options)
    named = {"file": options.file_column, "caption": options.caption_column}
    columns = Columns(**{name: value for name, value in named.items() if value})
    encoder = (
        Latents(options.image_size, options.model, options.seed, options.precision, options.device)
        if options.latents
        else Jpegs(options.image_size)
    )
    request = BuildRequest(options.source, options.out, options.format, columns, encoder, options.overwrite)
    with progress("shards", "image") as report_progress:
        result = build_shards(request, workers=_workers(options), report_progress=report_progress)
    for skipped in result.first_left_out:
        sys.stderr.write(f"Left out {skipped.name}: {skipped.reason.with_detail(skipped.detail)}\n")
    count = result.left_out.total()
    if more := count - len(result.first_left_out):
        sys.stderr.write(f"… and {more} more. {request.out / LEFT_OUT} lists all.\n")
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(result.left_out.items()))
    captions = f", {result.without_caption} without a caption" if result.without_caption else ""
    left_out = f", {count} left out ({reasons})" if count else ""
    kind = result.format.value
    sys.stdout.write(f"{result.written} images in {request.out} (read as {kind}){captions}{left_out}.\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    with progress("check", "sample") as report_progress:
        index, tally = check(options.shards, workers=_workers(options), report_progress=report_progress)
    list_file: Path | None = options.unreadable
    for one in tally.unreadable[:MAX_NAMED]:
        sys.stderr.write(f"Sample {one.sample}: {one.reason.with_detail(one.detail)}\n")
    if len(tally.unreadable) > MAX_NAMED:
        where = f"{list_file} lists all" if list_file else "Give --unreadable FILE to list all"
        sys.stderr.write(f"… and {len(tally.unreadable) - MAX_NAMED} more. {where}.\n")
    if list_file:
        rows = (asdict(one) for one in tally.unreadable)
        list_file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    content = index.description.encoding.value if index.description else "written by another tool"
    values = {
        "samples": f"{tally.samples} ({content})",
        "unreadable": str(len(tally.unreadable)),
        "images": _size_range(tally),
        "empty captions": str(tally.without_caption),
        "bytes": str(tally.size_bytes),
    }
    sys.stdout.write("".join(f"{name:<16}{value}\n" for name, value in values.items()))
    # Shards without samples are an error, too: nothing could be trained from them.
    return 0 if tally.samples and not tally.unreadable else int(ExitCode.DATA_MISSING)


def _size_range(tally: Tally) -> str:
    """The smallest and the largest image size by area, or the only one."""
    if not tally.sizes:
        return "none"
    by_area = sorted(tally.sizes, key=lambda size: size[0] * size[1])
    smallest, largest = (f"{width}×{height}" for width, height in (by_area[0], by_area[-1]))
    return smallest if len(by_area) == 1 else f"{smallest} … {largest}"
