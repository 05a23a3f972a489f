"""Which TCP ports are free?"""

import contextlib
import socket


def free_ports(count: int, address: str = "127.0.0.1") -> tuple[int, ...]:
    """`count` different ports that nobody listens on now; all are held until the last is found, so they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)


def accepts(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
