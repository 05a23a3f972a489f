"""Stores a Benchmark in `<results>/<name>/benchmark.json`, replaced atomically."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import MUTABLE
from sdbench.local.documents import InvalidFile, only_benchmark, stored
from sdbench.local.preflight import LocalRunRefused

DOCUMENT = "benchmark.json"


class Results:
    """The folder of one Benchmark, with its document, its logs and its Reports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = folder / DOCUMENT

    def log_of(self, attempt: str) -> Path:
        """The log of an Attempt's launcher."""
        return self.folder / "logs" / f"{attempt}.log"

    def store(self, benchmark: Benchmark) -> None:
        """Replaces the document; a reader, or a crash, sees either the old one or the new one whole."""
        # In the same folder, because a rename is atomic only within a file system.
        draft = self.document.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            file.write(stored(benchmark))
            file.flush()
            # Without it, a crash of the machine may leave an empty file under the new name.
            os.fsync(file.fileno())
        draft.replace(self.document)

    def fresh(self, requested: Benchmark, overwrite: bool) -> Benchmark:
        """Prepares the folder for a new run. Raises LocalRunRefused if it holds an older one."""
        if self.document.exists():
            if not overwrite:
                raise LocalRunRefused(
                    f"{self.document} exists: add --resume to continue it, --overwrite to replace it, or --results to "
                    "use another folder."
                )
            # The document goes first: a folder that has only logs counts as empty after a crash.
            self.document.unlink()
            shutil.rmtree(self.folder / "logs", ignore_errors=True)
        return requested

    def resumed(self, requested: Benchmark) -> Benchmark:
        """The stored Benchmark, or the requested one without it. Raises LocalRunRefused if their specs differ."""
        if not self.document.exists():
            return requested
        try:
            old = only_benchmark(self.document)
        except InvalidFile as error:
            raise LocalRunRefused(
                f"{self.document} cannot be resumed: {error}. Add --overwrite to replace it."
            ) from error
        if old.spec.model_dump(exclude={*MUTABLE}) != requested.spec.model_dump(exclude={*MUTABLE}):
            raise LocalRunRefused(
                f"{self.document} belongs to another spec: add --overwrite to replace it, or --results to use another "
                "folder."
            )
        return old.model_copy(update={"spec": requested.spec})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the folder. Raises LocalRunRefused if one uses it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        # The kernel releases the lock of a killed run, where a lock file would stay.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise LocalRunRefused(
                f"Another sdbench run uses {self.folder}: wait until it ends, or use --results."
            ) from error
        finally:
            os.close(descriptor)
