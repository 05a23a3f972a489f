"""Which TCP ports are free?"""

import contextlib
import random
import socket

CANDIDATES = range(20000, 32000)
"""Below those that the kernel gives to outgoing connections: what is free now stays free until it is used."""


def free_ports(count: int, address: str = "127.0.0.1") -> tuple[int, ...]:
    """`count` different ports that nobody listens on now."""
    found: list[int] = []
    # Chosen by lot, so that two runs that start together do not choose the same.
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        if len(found) == count:
            break
        with contextlib.suppress(OSError), socket.socket() as attempt:
            attempt.bind((address, port))
            found.append(port)
    return tuple(found)


def accepts(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
