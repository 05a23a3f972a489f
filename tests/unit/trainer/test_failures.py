"""Is an exception recognised as what it is? And is the sentence the one that a person needs?"""

import errno

import pytest

from sdbench_trainer.failures import DataMissing, LossNotFinite, exit_code, sentence
from sdbench_trainer.report import ExitCode


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


class ClientError(Exception):
    """Named as botocore's."""


ClientError.__module__ = "botocore.exceptions"


class DistBackendError(RuntimeError):
    """Named as PyTorch's."""


ROWS = [
    (DataMissing("No shards at s3://b."), ExitCode.DATA_MISSING),
    (LossNotFinite("The loss is nan."), ExitCode.LOSS_NOT_FINITE),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), ExitCode.OUT_OF_DEVICE_MEMORY),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"), 67),
    (MemoryError(), ExitCode.OUT_OF_DEVICE_MEMORY),
    (RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"), 69),
    (DistBackendError("NCCL error: remote process exited or there was a network error"), ExitCode.PEER_LOST),
    (OSError(errno.ENOSPC, "No space left on device", "/dev/shm/torch_1"), ExitCode.SHARED_MEMORY_FULL),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), ExitCode.SHARED_MEMORY_FULL),
    (FileNotFoundError(errno.ENOENT, "No such file", "/dev/shm/000000_locals"), ExitCode.BUG),
    (ClientError("An error occurred (404) when calling HeadObject"), ExitCode.DATA_MISSING),
    (ValueError("nonsense"), ExitCode.BUG),
]


@pytest.mark.parametrize(("error", "code"), ROWS)
def test_an_exception_is_known_by_what_it_says(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def gave_up() -> None:
    try:
        raise DataMissing("No shards at s3://b.")
    except DataMissing as cause:
        raise ValueError("the loader gave up") from cause


def test_a_known_cause_is_found_under_what_it_led_to() -> None:
    with pytest.raises(ValueError, match="gave up") as raised:
        gave_up()
    assert exit_code(raised.value) == ExitCode.DATA_MISSING
    assert sentence(raised.value) == "No shards at s3://b."


def test_a_bug_is_told_by_the_end_of_its_traceback() -> None:
    told = sentence(KeyError("x" * 5_000))
    assert len(told) <= 1_200
    assert told.endswith("x'")
