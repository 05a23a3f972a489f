"""Defines the command line of the trainer: `shards build SOURCE OUT` and `shards check SHARDS`."""

import argparse
import sys
from pathlib import Path

from sdbench_trainer import __version__
from sdbench_trainer.config import FrozenPrecision, Model, TrainerConfig
from sdbench_trainer.shards.sources import Format

INTERRUPTED = 130

BUILD = """Write photographs with captions as MDS shards, which the trainer streams.

SOURCE is looked at, and taken as
  webdataset  tars, or a folder with tars, or a pattern such as "laion/{00000..00041}.tar": KEY.jpg, KEY.txt, KEY.json
  parquet     Parquet files with a column of image bytes, as img2dataset writes them, or a folder with such files
  table       a CSV or JSONL file with the columns file and caption, or a folder with one
  folder      a folder of images, searched with all subfolders; a caption stands in a .txt or .json beside its image

What does not become a sample is counted and named, the whole list in OUT/left-out.jsonl. A build that was interrupted
goes on when the same command is given again. docs/shards.md tells all.
"""

CHECK = """Read and decode every sample of shards, in a folder or at a remote such as s3://bucket/shards.

Exit code 0 if all can be read, 65 if not.
"""

_DEFAULTS = TrainerConfig()


def _size(text: str) -> int:
    side = int(text)
    if side % 32 or not 32 <= side <= 1024:
        raise argparse.ArgumentTypeError("it is a multiple of 32, from 32 to 1024")
    return side


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("it is at least 1")
    return count


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the photographs")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to make; copy it to a bucket as it is")
    parser.add_argument("--format", type=Format, choices=list(Format), help="what SOURCE is, if it is not seen rightly")
    parser.add_argument("--file-column", metavar="NAME", help="column with the files, or with the image bytes")
    parser.add_argument("--caption-column", metavar="NAME", help="column, or key in .json, with the captions")
    parser.add_argument(
        "--image-size", type=_size, metavar="S", help="store the middle as a square of at most S pixels a side"
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="processes; default: one for each core")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT, and an interrupted build of another kind"
    )
    latents = parser.add_argument_group("latents", "for trainer.encoding: precomputed")
    latents.add_argument("--latents", action="store_true", help="store what the VAE makes of each photograph, in fp16")
    latents.add_argument("--model", type=Model, choices=list(Model), default=_DEFAULTS.model, help="whose VAE")
    latents.add_argument(
        "--seed", type=int, default=_DEFAULTS.seed, help="seed of its weights: the trainer's seed (default %(default)s)"
    )
    latents.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    latents.add_argument(
        "--precision",
        type=FrozenPrecision,
        choices=[FrozenPrecision.FP32, FrozenPrecision.FP16, FrozenPrecision.BF16],
        default=FrozenPrecision.FP32,
        help="number format of the VAE",
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS", help="the folder or remote")
    parser.add_argument("--workers", type=_count, metavar="N", help="processes; default: one for each core")
    parser.add_argument("--unreadable", type=Path, metavar="FILE", help="write all unreadable samples there, as JSONL")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="sdbench-trainer", description="Prepares data for Stable Diffusion benchmarks."
    )
    parser.add_argument("--version", action="version", version=__version__)
    rooms = parser.add_subparsers(metavar="COMMAND", required=True)
    shards = rooms.add_parser("shards", help="work with shards", description="Work with shards.")
    verbs = shards.add_subparsers(metavar="COMMAND", required=True, dest="verb")
    raw = argparse.RawDescriptionHelpFormatter
    _add_build(verbs.add_parser("build", help="write photographs as shards", description=BUILD, formatter_class=raw))
    _add_check(verbs.add_parser("check", help="read every sample", description=CHECK, formatter_class=raw))
    return parser


def main() -> None:
    """The console script `sdbench-trainer`."""
    parser = arguments()
    options = parser.parse_args()
    if options.verb == "build" and options.latents and options.image_size is None:
        parser.error("--latents needs --image-size, that of the training")
    try:
        from sdbench_trainer.shards import commands

        sys.exit(commands.build_command(options) if options.verb == "build" else commands.check_command(options))
    except KeyboardInterrupt:
        if options.verb == "build":
            sys.stderr.write("\nInterrupted; the same command goes on from here.\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
