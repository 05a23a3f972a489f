"""Builds a release into one folder: distributions, chart, images, bills of materials, notes and checksums."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.failure import HarnessError
from release.artifacts import CHECKSUMS, package_chart, write_bills, write_checksums
from release.distributions import build_distributions
from release.images import lacking, write_images
from release.version import ROOT, UNRELEASED, ReleaseError, commit, commit_seconds, notes, released_version, uncommitted

NOTES = "RELEASE_NOTES.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the release; returns 0 if it is complete."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("--without-images", action="store_true", help="leave the two images out")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "dist", metavar="FOLDER", help="where to write; default: dist"
    )
    chosen = parser.parse_args(arguments)
    try:
        return release(chosen.output, images=not chosen.without_images)
    except (ReleaseError, HarnessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def release(folder: Path, *, images: bool) -> int:
    """Builds all parts of a release; returns the exit code, which is 1 if the images had to be left out."""
    version = released_version()
    heading, text = notes((ROOT / "CHANGELOG.md").read_text(), version)
    if heading == UNRELEASED:
        say(f"note: CHANGELOG.md has no section {version}; the notes are those of {UNRELEASED}")
    if changed := uncommitted():
        say(f"note: {len(changed)} files differ from commit {commit()[:12]}, so this is not a release of that commit")
    empty(folder)
    (folder / NOTES).write_text(text)
    say(f"building the distributions {version}")
    build_distributions(folder, commit_seconds())
    say("packing the chart and listing the images' packages")
    package_chart(folder)
    write_bills(folder)
    left_out = lacking() if images else ""
    if images and not left_out:
        say("building the images; the trainer's takes some minutes")
        write_images(folder, version)
    write_checksums(folder)
    print("\n".join(str(path) for path in sorted(folder.iterdir())))
    if left_out:
        print(f"error: the images are left out: {left_out}, or add --without-images", file=sys.stderr)
    return 1 if left_out else 0


def empty(folder: Path) -> None:
    """Creates the folder, or deletes an earlier release in it. Raises ReleaseError if it holds anything else."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / NOTES).exists() and not (folder / CHECKSUMS).exists():
            raise ReleaseError(f"{folder} holds something that is not a release: choose another folder with --output.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def say(sentence: str) -> None:
    """Prints progress to the terminal."""
    print(f"release: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
