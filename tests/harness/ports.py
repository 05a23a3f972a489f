"""Reserves free TCP ports for this test process.

A chosen port is used only later, by another process, and two test processes could choose the same one. So each test
process claims a block of ports for as long as it lives. The blocks are below the range of ephemeral ports.
"""

import contextlib
import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache

FIRST, LAST, BLOCK = 20_000, 32_000, 200


def free_ports(count: int, address: str = "127.0.0.1") -> tuple[int, ...]:
    """`count` different ports on which nothing listens now."""
    return tuple(itertools.islice((port for port in _a_round() if _binds(port, address)), count))


def accepts(address: str, port: int) -> bool:
    """Whether a server accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _a_round() -> Iterator[int]:
    """Each port of the block once, starting after the one that was chosen last."""
    return itertools.islice(_ports(), BLOCK)


@cache
def _ports() -> Iterator[int]:
    return itertools.cycle(_block())


def _block() -> range:
    for first in random.sample(range(FIRST, LAST, BLOCK), (LAST - FIRST) // BLOCK):
        if _claimed(first):
            return range(first, first + BLOCK)
    raise RuntimeError("other processes have claimed all ports")


def _claimed(first: int) -> bool:
    """Claims the block by a name in Linux' abstract socket namespace; returns False if another process has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0sdbench-ports-{first}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


_claims: list[socket.socket] = []


def _binds(port: int, address: str) -> bool:
    with contextlib.suppress(OSError), socket.socket() as attempt:
        attempt.bind((address, port))
        return True
    return False
