"""Stores a Benchmark in `<results>/<name>/benchmark.json`, replaced atomically."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import MUTABLE, Spec
from sdbench.local.documents import InvalidFile, only_benchmark, stored
from sdbench.local.preflight import LocalRunRefused

DOCUMENT = "benchmark.json"


class Results:
    """One Benchmark's folder: its document, its logs and Reports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = folder / DOCUMENT

    def log_of(self, attempt: str) -> Path:
        """The log of an Attempt's launcher."""
        return self.folder / "logs" / f"{attempt}.log"

    def store(self, benchmark: Benchmark) -> None:
        """Replace the document; a reader, or a crash, sees the old one or the new one whole."""
        draft = self.document.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            file.write(stored(benchmark))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.document)

    def fresh(self, asked: Benchmark, overwrite: bool) -> Benchmark:
        """Make the folder ready for a new run. Raises Refused when it holds an older one."""
        if self.document.exists():
            if not overwrite:
                raise LocalRunRefused(
                    f"{self.document} exists: add --resume to continue it, --overwrite to start anew, or --results "
                    "for another folder."
                )
            self.document.unlink()
            shutil.rmtree(self.folder / "logs", ignore_errors=True)
        return asked

    def resumed(self, asked: Benchmark) -> Benchmark:
        """The stored Benchmark, to be continued. Raises Refused when it asks something else."""
        if not self.document.exists():
            return asked
        try:
            old = only_benchmark(self.document)
        except InvalidFile as error:
            raise LocalRunRefused(f"{self.document} cannot be resumed: {error}") from error
        if _immutable(old.spec) != _immutable(asked.spec):
            raise LocalRunRefused(
                f"{self.document} answers another spec: add --overwrite, or --results for another folder."
            )
        return old.model_copy(update={"spec": asked.spec})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder. Raises Refused when one is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise LocalRunRefused(
                f"Another sdbench run works in {self.folder}: wait for it, or use --results."
            ) from error
        finally:
            os.close(descriptor)


def _immutable(spec: Spec) -> dict[str, object]:
    return spec.model_dump(exclude=set(MUTABLE))
