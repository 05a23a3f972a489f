"""Bootstraps the base image, Debian with Python, with debootstrap: no registry need be reachable."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.cache import lock, say
from harness.failure import HarnessError, last_lines
from harness.images.buildah import buildah, image_exists, run_checked, storage_tags
from harness.runs import scratch

SUITE = "bookworm"
INCLUDED = "python3,python3-venv,ca-certificates"
VERSION = "3"
"""Increment it when the recipe below changes."""

BASE_IMAGE = f"localhost/sdbench-base:{SUITE}-{VERSION}"
MIRROR = "SDBENCH_DEBIAN_MIRROR"


def base_image() -> str:
    """The base image's reference in our container storage, built if it is missing."""
    with lock("base-image", "another process is building the base image"):
        if not image_exists(BASE_IMAGE):
            say(f"building the base image by debootstrap ({SUITE}), about 1 min")
            with scratch("base") as folder:
                root = folder / "root"
                _bootstrapped(root)
                _emptied_of_downloads(root)
                _committed(root)
            _drop_others()
    return BASE_IMAGE


def _drop_others() -> None:
    for tag in storage_tags("localhost/sdbench-base"):
        if tag != BASE_IMAGE:
            buildah("rmi", tag)


def _bootstrapped(root: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(root)]
    if os.environ.get(MIRROR):
        command.append(os.environ[MIRROR])
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise HarnessError(
            f"debootstrap failed (set {MIRROR} to use another mirror):\n{last_lines(run.stdout + run.stderr)}"
        )


def _emptied_of_downloads(root: Path) -> None:
    for folder in (
        root / "var/cache/apt",
        root / "var/lib/apt/lists",
        root / "usr/share/doc",
        root / "usr/share/locale",
    ):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()


def _committed(root: Path) -> None:
    # As an archive, because buildah gives an added folder's files to root and drops their setuid bits.
    archive = root.with_suffix(".tar")
    run_checked(["tar", "--create", "--numeric-owner", "--file", str(archive), "--directory", str(root), "."])
    container = buildah("from", "scratch").strip()
    try:
        buildah("add", container, archive, "/")
        buildah("config", "--cmd", "python3", "--env", "LANG=C.UTF-8", container)
        buildah("commit", container, BASE_IMAGE)
    finally:
        buildah("rm", container)
