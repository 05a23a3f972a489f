"""Tests that exceptions get their exit codes, and messages that explain them."""

import errno

import pytest

from sdbench_trainer.errors import DataMissing, LossNotFinite, MixedDevices, aborted_code, error_sentence, exit_code
from sdbench_trainer.report import ExitCode


class OutOfMemoryError(RuntimeError):
    """Has the name of PyTorch's exception."""


class ClientError(Exception):
    """Has the name and module of botocore's exception."""


ClientError.__module__ = "botocore.exceptions"


class DistBackendError(RuntimeError):
    """Has the name of PyTorch's exception."""


GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/"
UNEQUAL = (
    "[enforce fail at /pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:446] op.preamble.length <= op.nbytes. 8 vs 4"
)
OTHER_MODEL = (
    "[1]: params[0] in this process with sizes [4, 4] appears not to match sizes of the same param in process 0."
)
NCCL_SYSTEM = (
    "NCCL error in: NCCLUtils.hpp:268, unhandled system error, NCCL version 2.21.5\nncclSystemError: Last error:\n"
)
NCCL_PEER = "NCCL error in: NCCLUtils.hpp:268, remote process exited or there was a network error\nncclRemoteError: "
NCCL_SHM = "Error while creating shared memory segment /dev/shm/nccl-Zk3b1M (size 9637888)"
NCCL_HANG = "[Rank 0] NCCL watchdog thread terminated with exception: Watchdog caught collective operation timeout"

ROWS = [
    (DataMissing("No shards at s3://b."), ExitCode.DATA_MISSING),
    (LossNotFinite("The loss is nan."), ExitCode.LOSS_NOT_FINITE),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), ExitCode.OUT_OF_DEVICE_MEMORY),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"), 67),
    (MemoryError(), ExitCode.OUT_OF_DEVICE_MEMORY),
    (MixedDevices("An A and a B."), ExitCode.MIXED_DEVICES),
    (RuntimeError(f"{GLOO}pair.cc:534] Connection closed by peer [127.0.0.1]:20893"), ExitCode.PEER_LOST),
    (RuntimeError(f"{GLOO}pair.cc:525] Read error [127.0.0.1]:9636: Connection reset by peer"), ExitCode.PEER_LOST),
    (RuntimeError(f"{GLOO}unbound_buffer.cc:81] Timed out waiting 6000ms for recv operation"), ExitCode.PEER_LOST),
    (RuntimeError(UNEQUAL), ExitCode.COLLECTIVE_ERROR),
    (RuntimeError(OTHER_MODEL), ExitCode.COLLECTIVE_ERROR),
    (DistBackendError(f"{NCCL_PEER}Last error:\nsocketProgress: Connection closed by remote peer"), ExitCode.PEER_LOST),
    (DistBackendError(f"{NCCL_SYSTEM}No IB device"), ExitCode.COLLECTIVE_ERROR),
    (DistBackendError(f"{NCCL_SYSTEM}Duplicate GPU detected"), ExitCode.COLLECTIVE_ERROR),
    (DistBackendError(f"{NCCL_SYSTEM}{NCCL_SHM}"), ExitCode.SHARED_MEMORY_FULL),
    (DistBackendError("NCCL error: ncclUnhandledCudaError: Cuda failure 2 'out of memory'"), 67),
    (OSError(errno.ENOSPC, "No space left on device", "/dev/shm/torch_1"), ExitCode.SHARED_MEMORY_FULL),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), ExitCode.SHARED_MEMORY_FULL),
    (FileNotFoundError(errno.ENOENT, "No such file", "/dev/shm/000000_locals"), ExitCode.BUG),
    (ClientError("An error occurred (404) when calling HeadObject"), ExitCode.DATA_MISSING),
    (ValueError("nonsense"), ExitCode.BUG),
]


@pytest.mark.parametrize(("error", "code"), ROWS)
def test_an_exception_is_recognised_by_its_type_and_text(error: Exception, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("last_words", "code"),
    [
        (UNEQUAL, ExitCode.COLLECTIVE_ERROR),
        (f"{NCCL_SYSTEM}No IB device", ExitCode.COLLECTIVE_ERROR),
        (NCCL_PEER, ExitCode.PEER_LOST),
        (NCCL_HANG, ExitCode.PEER_LOST),
        ("std::bad_alloc", None),
        ("", None),
    ],
)
def test_a_collective_that_a_library_aborted_is_recognised_by_its_last_words(
    last_words: str, code: ExitCode | None
) -> None:
    assert aborted_code(last_words) == code


def gave_up() -> None:
    try:
        raise DataMissing("No shards at s3://b.")
    except DataMissing as cause:
        raise ValueError("the loader gave up") from cause


def test_a_known_failure_is_found_behind_the_exception_that_it_caused() -> None:
    with pytest.raises(ValueError, match="gave up") as raised:
        gave_up()
    assert exit_code(raised.value) == ExitCode.DATA_MISSING
    assert error_sentence(raised.value) == "No shards at s3://b."


def test_a_bug_is_described_by_the_end_of_its_traceback() -> None:
    sentence = error_sentence(KeyError("x" * 5_000))
    assert len(sentence) <= 1_200
    assert sentence.endswith("x'")
