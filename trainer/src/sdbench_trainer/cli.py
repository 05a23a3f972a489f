"""What can a person do with the trainer by hand? `sdbench-trainer shards build FOLDER OUT`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from sdbench_trainer import __version__
from sdbench_trainer.report import ExitCode
from sdbench_trainer.shards import Built, Picture, ShardsRefused, build

INTERRUPTED = 130
SHOWN = 10

BUILD = """Write a folder of images with captions as MDS shards, which the trainer streams.

A caption stands in a .txt file beside its image (cat.jpg, cat.txt), or all of them stand in the folder's one .csv or
.jsonl file with the columns file and caption. Images that cannot be read are named, counted and left out.
"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="sdbench-trainer", description="Prepares data for Stable Diffusion benchmarks."
    )
    parser.add_argument("--version", action="version", version=__version__)
    rooms = parser.add_subparsers(metavar="COMMAND", required=True)
    shards = rooms.add_parser("shards", help="work with shards", description="Work with shards.")
    verbs = shards.add_subparsers(metavar="COMMAND", required=True)
    builder = verbs.add_parser(
        "build",
        help="write a folder of images as shards",
        description=BUILD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    builder.add_argument("folder", type=Path, metavar="FOLDER", help="the images, searched with all subfolders")
    builder.add_argument("out", type=Path, metavar="OUT", help="the folder to make; copy it to a bucket as it is")
    builder.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    builder.set_defaults(run=_build)
    return parser


def _bar(found: list[Picture]) -> Iterable[Picture]:
    from tqdm import tqdm

    bar: Iterable[Picture] = tqdm(found, desc="shards", unit="image", disable=not sys.stderr.isatty())
    return bar


def _tell(built: Built, out: Path) -> None:
    for picture in built.unreadable[:SHOWN]:
        sys.stderr.write(f"Left out {picture.path}: {picture.reason}\n")
    if len(built.unreadable) > SHOWN:
        sys.stderr.write(f"… and {len(built.unreadable) - SHOWN} more.\n")
    left_out = f", {len(built.unreadable)} left out" if built.unreadable else ""
    sys.stdout.write(f"{built.written} images in {out}{left_out}.\n")


def _build(options: argparse.Namespace) -> int:
    try:
        built = build(options.folder, options.out, overwrite=options.overwrite, progress=_bar)
    except ShardsRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return int(ExitCode.DATA_MISSING)
    _tell(built, options.out)
    return 0


def main() -> None:
    """The console script `sdbench-trainer`."""
    options = arguments().parse_args()
    try:
        sys.exit(options.run(options))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
