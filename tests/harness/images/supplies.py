"""Loads every image that a pod of the cluster may need before the node starts."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.addons import training_operator
from harness.images.archives import write_archive
from harness.images.base import BASE_IMAGE, base_image
from harness.images.catalog import OPERATOR, TRAINER, Image, planned
from harness.images.transfer import bring_in
from harness.node.containers import Containerd, containerd
from harness.node.namespaces import Namespaces
from harness.node.pause import pause_binary
from harness.runs import Run
from harness.tools import binary

PAUSE_REPOSITORY = "sdbench.local/pause"
BASE_REPOSITORY = "sdbench.local/base"


@dataclass(frozen=True)
class Images:
    """The images' references in containerd."""

    operator: str
    trainer: str
    base: str


@contextlib.contextmanager
def supplied_containerd(run: Run, namespaces: Namespaces) -> Iterator[tuple[Containerd, Images]]:
    """A containerd with every image; the project's two are built from this checkout."""
    with containerd(run, namespaces, _pause_image()) as server:
        _bring_in_programs(run.folder, server)
        yield server, _bring_in_images(server)


def _pause_image() -> str:
    return f"{PAUSE_REPOSITORY}:{pause_binary().name.removeprefix('pause-')}"


def _bring_in_programs(folder: Path, server: Containerd) -> None:
    """Imports the images that hold a single static program."""
    programs = {
        _pause_image(): ("/pause", pause_binary()),
        training_operator.IMAGE: (training_operator.PROGRAM, binary("training-operator")),
    }
    for reference in programs.keys() - server.images():
        inside, program = programs[reference]
        archive = folder / "image.tar"
        write_archive(archive, reference, {inside: program}, [inside])
        server.ctr("images", "import", archive)
        archive.unlink()


def _bring_in_images(server: Containerd) -> Images:
    base = f"{BASE_REPOSITORY}:{BASE_IMAGE.rpartition(':')[2]}"
    if base not in server.images():
        bring_in(server, base_image(), base)
        server.forget_images(BASE_REPOSITORY, kept=base)
    return Images(operator=_brought_in(server, OPERATOR), trainer=_brought_in(server, TRAINER), base=base)


def _brought_in(server: Containerd, image: Image) -> str:
    """The reference in containerd of the image of the current checkout, built and imported if it is missing."""
    with planned(image) as build:
        if build.reference not in server.images():
            bring_in(server, build.make(), build.reference)
            server.forget_images(image.repository, kept=build.reference)
        return build.reference
