"""Why did a rank end? Every way to fail that has its own exit code, and how an exception is recognised as one."""

import errno
import traceback
from collections.abc import Iterator

from sdbench_trainer.report import ExitCode

TAIL_CHARACTERS = 1_200


class RunFailure(Exception):
    """A failure whose cause is known; its text is a sentence for a person."""

    code = ExitCode.BUG


class ConfigInvalid(RunFailure):
    """The run cannot be done as asked."""

    code = ExitCode.CONFIG_INVALID


class DataMissing(RunFailure):
    """The images are not there, or are not enough, or cannot be read."""

    code = ExitCode.DATA_MISSING


class RendezvousTimeout(RunFailure):
    """Not all ranks came together in time."""

    code = ExitCode.RENDEZVOUS_TIMEOUT


class LossNotFinite(RunFailure):
    """The loss became infinite or not a number."""

    code = ExitCode.LOSS_NOT_FINITE


class WindowIncomplete(RunFailure):
    """The training ended before its window was complete, which nothing should make it do."""


_STORAGE = ("botocore.", "google.api_core.", "azure.core.", "oci.")
"""Packages whose exceptions say that a shard could not be fetched."""

_DEVICE_MEMORY = ("outofmemoryerror", "out of memory", "can't allocate memory", "defaultcpuallocator")
_SHARED_MEMORY = ("insufficient shared memory", "allocate shared memory", "dev/shm", "killed by signal: bus")
_PEER_LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "socket closed",
    "third_party/gloo",
    "remote process exited",
    "nccl communicator was aborted",
    "ncclremoteerror",
    "distbackenderror",
    "distnetworkerror",
    "diststoreerror",
)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _code_of_one(error: BaseException) -> ExitCode | None:
    if isinstance(error, RunFailure):
        return error.code
    if type(error).__module__.startswith(_STORAGE):
        return ExitCode.DATA_MISSING
    text = f"{type(error).__name__}: {error}".lower()
    shared = any(word in text for word in _SHARED_MEMORY)
    if shared and (not isinstance(error, OSError) or error.errno == errno.ENOSPC):
        return ExitCode.SHARED_MEMORY_FULL
    if isinstance(error, MemoryError) or any(word in text for word in _DEVICE_MEMORY):
        return ExitCode.OUT_OF_DEVICE_MEMORY
    if any(word in text for word in _PEER_LOST):
        return ExitCode.PEER_LOST
    return None


def exit_code(error: BaseException) -> ExitCode:
    """The code for an exception: the first in its chain that is recognised, else BUG."""
    codes = (_code_of_one(link) for link in chain(error))
    return next((code for code in codes if code is not None), ExitCode.BUG)


def sentence(error: BaseException) -> str:
    """What a person is told: a known failure's own sentence, else the end of the traceback."""
    for link in chain(error):
        if isinstance(link, RunFailure):
            return str(link)[-TAIL_CHARACTERS:]
    return "".join(traceback.format_exception(error))[-TAIL_CHARACTERS:].strip()
