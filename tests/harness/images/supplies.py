"""Loads every image that a pod of the cluster may need before the node starts."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.addons import training_operator
from harness.images.archives import write_archive
from harness.images.base import BASE_IMAGE, base_image
from harness.images.catalog import OPERATOR, TRAINER, Image, planned_build
from harness.images.transfer import import_image
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
def containerd_with_images(run: Run, namespaces: Namespaces) -> Iterator[tuple[Containerd, Images]]:
    """A containerd with every image; the project's two are built from this checkout."""
    with containerd(run, namespaces, _pause_image()) as server:
        _import_programs(run.folder, server)
        yield server, _import_images(server)


def _pause_image() -> str:
    return f"{PAUSE_REPOSITORY}:{pause_binary().name.removeprefix('pause-')}"


def _import_programs(folder: Path, server: Containerd) -> None:
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


def _import_images(server: Containerd) -> Images:
    base = f"{BASE_REPOSITORY}:{BASE_IMAGE.rpartition(':')[2]}"
    if base not in server.images():
        import_image(server, base_image(), base)
        server.forget_images(BASE_REPOSITORY, kept=base)
    return Images(operator=_import_current(server, OPERATOR), trainer=_import_current(server, TRAINER), base=base)


def _import_current(server: Containerd, image: Image) -> str:
    """The reference in containerd of the image of the current checkout, built and imported if it is missing."""
    with planned_build(image) as build:
        if build.reference not in server.images():
            import_image(server, build.make(), build.reference)
            server.forget_images(image.repository, kept=build.reference)
        return build.reference
