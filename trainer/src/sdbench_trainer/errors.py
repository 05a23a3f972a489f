"""Defines the failures that have exit codes of their own, and maps exceptions to exit codes."""

import errno
import traceback
from collections.abc import Iterator

from sdbench_trainer.report import ExitCode

TAIL_CHARACTERS = 1_200


class RunFailure(Exception):
    """A failure whose cause is known; its text is a sentence for the user."""

    code = ExitCode.BUG


class ConfigInvalid(RunFailure):
    """The run cannot be done as requested."""

    code = ExitCode.CONFIG_INVALID


class DataMissing(RunFailure):
    """The images are missing, too few, or unreadable."""

    code = ExitCode.DATA_MISSING


class RendezvousTimeout(RunFailure):
    """Not all ranks came together in time."""

    code = ExitCode.RENDEZVOUS_TIMEOUT


class LossNotFinite(RunFailure):
    """The loss became infinite or not a number."""

    code = ExitCode.LOSS_NOT_FINITE


class MixedDevices(RunFailure):
    """The ranks of a run have different kinds of devices."""

    code = ExitCode.MIXED_DEVICES


class WindowIncomplete(RunFailure):
    """The training ended before its window was complete, which is a bug."""


_STORAGE = ("botocore.", "google.api_core.", "azure.core.", "oci.")
"""Packages whose exceptions mean that a shard could not be fetched."""

_DEVICE_MEMORY = ("outofmemoryerror", "out of memory", "can't allocate memory", "defaultcpuallocator")
_SHARED_MEMORY = ("insufficient shared memory", "allocate shared memory", "dev/shm", "killed by signal: bus")
_PEER_LOST = (
    # The peer is gone.
    *("connection closed by peer", "connection closed by remote peer", "connection reset", "connection refused"),
    *("connection abort", "broken pipe", "socket closed", "no route to host", "network is unreachable"),
    *("remote process exit", "nccl communicator was aborted", "ncclremoteerror", "distnetworkerror", "diststoreerror"),
    # The peer does not answer.
    *("timed out waiting", "connection timed out", "connect timeout"),
    *("operation timeout", "wait timeout", "timeout waiting"),
)
"""Messages of gloo, NCCL and the store, in lower case, when a peer is gone or does not answer."""

_COLLECTIVE = (
    *("third_party/gloo", "gloo::", "distbackenderror", "nccl error", "nccl watchdog"),
    *("mismatch between collectives", "appears not to match sizes of the same param"),
    "ddp expects same model across all ranks",
)
"""Their messages when a collective fails for another reason, and DDP's when ranks have different models."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and the exceptions that led to it, the outermost first."""
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
    # Many errors of PyTorch are RuntimeErrors, of which only the name of a subclass or the text says more.
    text = f"{type(error).__name__}: {error}".lower()
    shared = any(word in text for word in _SHARED_MEMORY)
    # An OSError names its file, so /dev/shm in its text alone does not mean that the memory is full.
    if shared and (not isinstance(error, OSError) or error.errno == errno.ENOSPC):
        return ExitCode.SHARED_MEMORY_FULL
    if isinstance(error, MemoryError) or any(word in text for word in _DEVICE_MEMORY):
        return ExitCode.OUT_OF_DEVICE_MEMORY
    return _collective_code(text)


def _collective_code(text: str) -> ExitCode | None:
    """The code for a lower-case message about a lost peer or a failed collective; None for another message."""
    if any(word in text for word in _PEER_LOST):
        return ExitCode.PEER_LOST
    return ExitCode.COLLECTIVE_ERROR if any(word in text for word in _COLLECTIVE) else None


def aborted_code(last_words: str) -> ExitCode | None:
    """The code for a rank that gloo or NCCL aborted, by an exception in a thread of its own; None if not recognised."""
    return _collective_code(last_words.lower())


def exit_code(error: BaseException) -> ExitCode:
    """The code of the first exception in the chain that is recognised, or BUG."""
    codes = (_code_of_one(link) for link in chain(error))
    return next((code for code in codes if code is not None), ExitCode.BUG)


def error_sentence(error: BaseException) -> str:
    """The message for the user: the sentence of a known failure, or the end of the traceback."""
    for link in chain(error):
        if isinstance(link, RunFailure):
            return str(link)[-TAIL_CHARACTERS:]
    return "".join(traceback.format_exception(error))[-TAIL_CHARACTERS:].strip()
