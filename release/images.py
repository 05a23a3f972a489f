"""Builds the two images with the labels of a release and writes them as OCI archives."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from harness.images.base import base_image
from harness.images.buildah import PRIVATE_MOUNTS, build_image, run_checked, storage_name
from harness.images.catalog import OPERATOR, TRAINER, Build, planned_build
from release.version import commit, commit_seconds

PROGRAMS = ("buildah", "skopeo", "runc", "debootstrap", "unshare")


def lacking() -> str:
    """What this machine lacks to build the images, as a message; empty if it lacks nothing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "only root can build the images: run this as root"
    return f"the images need {', '.join(missing)}: apt-get install buildah skopeo runc debootstrap" if missing else ""


def write_images(into: Path, version: str) -> None:
    """Builds both images and writes `<image>-<version>.oci.tar`. Raises HarnessError."""
    for image in (OPERATOR, TRAINER):
        with planned_build(image) as build:
            build.make()
            stored = _labelled(build, version)
            archive = f"oci-archive:{into / f'{image.name}-{version}.oci.tar'}:{image.name}:{version}"
            run_checked([*PRIVATE_MOUNTS, "skopeo", "copy", "--quiet", storage_name(stored), archive])


def _labelled(build: Build, version: str) -> str:
    """The image with the release's labels; every layer but the labels comes from the storage."""
    created = datetime.fromtimestamp(commit_seconds(), UTC).isoformat()
    facts = {"version": version, "revision": commit(), "created": created}
    # Labels instead of build arguments, because buildah 1.28 takes a layer from its cache whatever their values are.
    labels = tuple(f"org.opencontainers.image.{name}={value}" for name, value in facts.items())
    stored = f"localhost/{build.image.name}:{version}"
    build_image(build.context / build.image.dockerfile, build.context, stored, base_image(), labels)
    return stored
