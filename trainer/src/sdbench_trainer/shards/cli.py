"""Parses the command line of `sdbench-trainer`: `shards build SOURCE OUT` and `shards check SHARDS`."""

import argparse
import sys
from pathlib import Path

from sdbench_trainer import __version__
from sdbench_trainer.config import FrozenPrecision, Model, TrainerConfig
from sdbench_trainer.shards.sources import Format

INTERRUPTED = 130
"""The exit code that shells give to a process that SIGINT ended."""

BUILD = """Write photographs with captions as MDS shards, which the trainer streams.

The format of SOURCE is detected:
  webdataset  a tar, a folder of tars, or a pattern such as "laion/{00000..00041}.tar"; KEY.jpg, KEY.txt and KEY.json
              form one sample
  parquet     a Parquet file with a column of image bytes, as img2dataset writes it, or a folder of such files
  table       a CSV or JSONL file with the columns file and caption, or a folder with one such file
  folder      a folder of images and its subfolders; captions are in .txt or .json files beside the images

Whatever cannot become a sample is counted by reason. OUT/left-out.jsonl lists it with its name and reason. To continue
an interrupted build, repeat the same command. For details see docs/shards.md.
"""

CHECK = """Read and decode every sample of the shards in a folder or at a remote such as s3://bucket/shards.

The exit code is 0 if all samples can be read, and 65 if not.
"""

_DEFAULTS = TrainerConfig()


def main() -> None:
    """Runs the console script `sdbench-trainer`."""
    parser = arguments()
    options = parser.parse_args()
    if options.verb == "build" and options.latents and options.image_size is None:
        parser.error("--latents needs --image-size: give the imageSize of the runs that will use the shards")
    try:
        # Imported late, so that --help and usage errors do not wait for torch.
        from sdbench_trainer.shards import commands

        sys.exit(commands.run_command(options))
    except KeyboardInterrupt:
        if options.verb == "build":
            sys.stderr.write("\nInterrupted. Repeat the same command to continue.\n")
        sys.exit(INTERRUPTED)


def arguments() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="sdbench-trainer", description="Prepare training data for Stable Diffusion benchmarks."
    )
    parser.add_argument("--version", action="version", version=__version__)
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    shards = groups.add_parser("shards", help="build and check shards", description="Build and check MDS shards.")
    verbs = shards.add_subparsers(metavar="COMMAND", required=True, dest="verb")
    # The descriptions hold lists, which argparse would wrap into one paragraph.
    raw = argparse.RawDescriptionHelpFormatter
    _add_build(verbs.add_parser("build", help="write photographs as shards", description=BUILD, formatter_class=raw))
    check = verbs.add_parser(
        "check", help="check that every sample can be read", description=CHECK, formatter_class=raw
    )
    check.add_argument("shards", metavar="SHARDS", help="the folder or remote to check")
    check.add_argument("--workers", type=_count, metavar="N", help="number of processes (default: one per core)")
    check.add_argument("--unreadable", type=Path, metavar="FILE", help="list all unreadable samples in FILE, as JSONL")
    return parser


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the photographs")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write; copy it to a bucket as it is")
    parser.add_argument("--format", type=Format, choices=list(Format), help="format of SOURCE (default: detect it)")
    parser.add_argument("--file-column", metavar="NAME", help="column of the file paths, or of the image bytes")
    parser.add_argument("--caption-column", metavar="NAME", help="column, or key in .json files, of the captions")
    parser.add_argument(
        "--image-size",
        type=_image_side,
        metavar="S",
        help="store the centre square of each photograph, of at most S pixels a side",
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="number of processes (default: one per core)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT, and discard an interrupted build with other arguments"
    )
    latents = parser.add_argument_group("latents", "for runs with trainer.encoding: precomputed")
    latents.add_argument(
        "--latents", action="store_true", help="store the moments that the VAE computes for each photograph, in fp16"
    )
    latents.add_argument(
        "--model",
        type=Model,
        choices=list(Model),
        default=_DEFAULTS.model,
        help="model of the run, whose VAE is used (default: %(default)s)",
    )
    latents.add_argument(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        help="trainer.seed of the run, which determines the VAE's weights (default: %(default)s)",
    )
    latents.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    latents.add_argument(
        "--precision",
        type=FrozenPrecision,
        choices=[FrozenPrecision.FP32, FrozenPrecision.FP16, FrozenPrecision.BF16],
        default=FrozenPrecision.FP32,
        help="number format of the VAE (default: %(default)s)",
    )


def _image_side(text: str) -> int:
    side = int(text) if text.isdecimal() else 0
    if side % 32 or not 32 <= side <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 32 from 32 to 1024")
    return side


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return count


if __name__ == "__main__":
    main()
