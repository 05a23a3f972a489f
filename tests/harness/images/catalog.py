"""Lists the project's images and their inputs; an image's version is a hash of its contents."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_folder, lock, say
from harness.failure import HarnessError
from harness.images.base import BASE_IMAGE, base_image
from harness.images.buildah import build_image, buildah, image_exists, storage_tags
from harness.runs import scratch

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Image:
    """One image of the project: its Dockerfile, dependencies and source folders."""

    name: str
    dockerfile: str
    requirements: str
    sources: tuple[str, ...]
    minutes: int
    gigabytes: int
    """Peak disk space of its first build: the build storage, the import stream, containerd's content and snapshot."""

    @property
    def repository(self) -> str:
        """The image's name in containerd, without the version."""
        return f"sdbench.local/{self.name}"

    def inputs(self) -> tuple[str, ...]:
        """The files and folders that are copied into the build, as paths in the checkout."""
        return (self.dockerfile, f"{self.dockerfile}.dockerignore", self.requirements, *self.sources)


OPERATOR = Image(
    name="sdbench-operator",
    dockerfile="docker/operator.Dockerfile",
    requirements="requirements/operator.txt",
    sources=("operator/src/sdbench", "trainer/src/sdbench_trainer"),
    minutes=1,
    gigabytes=2,
)
TRAINER = Image(
    name="sdbench-trainer",
    dockerfile="docker/trainer.Dockerfile",
    requirements="requirements/trainer.txt",
    sources=("trainer/src/sdbench_trainer",),
    minutes=4,
    gigabytes=30,
)


@dataclass(frozen=True)
class Build:
    """An image and a copy of its inputs, which later edits of the checkout do not change."""

    image: Image
    context: Path
    version: str

    @property
    def reference(self) -> str:
        """The image's name in containerd, with the hash of its contents."""
        return f"{self.image.repository}:{self.version}"

    @property
    def stored(self) -> str:
        """The image's name in the build storage."""
        return f"localhost/{self.image.name}:{self.version}"

    def make(self) -> str:
        """The image's name in our storage. If it is missing, it is built and older versions are deleted."""
        name = self.image.name
        with lock("images", "another process is building an image"):
            if not image_exists(self.stored):
                self._demand_space()
                base = base_image()
                buildah("rm", "--all")  # a killed build leaves containers
                say(f"building {name} (seconds, or about {self.image.minutes} min if its dependencies changed)")
                build_image(self.context / self.image.dockerfile, self.context, self.stored, base)
                self._drop_others()
        return self.stored

    def _demand_space(self) -> None:
        """Raises HarnessError if the disk is too full for a first build; later builds share its layers."""
        free = shutil.disk_usage(cache_folder()).free // 10**9
        if free < self.image.gigabytes and not storage_tags(f"localhost/{self.image.name}"):
            raise HarnessError(
                f"the first build of {self.image.name} needs {self.image.gigabytes} GB below {cache_folder()}, "
                f"and {free} GB are free: free some space, or set SDBENCH_CACHE to another folder"
            )

    def _drop_others(self) -> None:
        """Deletes other versions; layers that they share with this one stay."""
        for tag in storage_tags(f"localhost/{self.image.name}"):
            if tag != self.stored:
                buildah("rmi", tag)


@contextlib.contextmanager
def planned_build(image: Image) -> Iterator[Build]:
    """The build of an image from the current state of the checkout."""
    with scratch("context") as context:
        for name in image.inputs():
            _copy(ROOT / name, context / name)
        yield Build(image, context, _version(context))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".*"))
    else:
        shutil.copy2(source, target)


def _version(context: Path) -> str:
    """A hash of all inputs, so that the same inputs are never built twice."""
    digest = hashlib.sha256(BASE_IMAGE.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"\n{path.relative_to(context)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
