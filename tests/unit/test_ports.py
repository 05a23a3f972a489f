"""Tests that test processes that run at the same time choose different ports."""

import socket
import subprocess
import sys
from pathlib import Path

from harness.ports import BLOCK, FIRST, LAST, free_ports

TESTS = Path(__file__).resolve().parents[1]
BLOCKS = (LAST - FIRST) // BLOCK
ANOTHER = "from harness.ports import free_ports; print(*free_ports(1), flush=True); input()"


def test_no_port_is_chosen_by_two_processes_that_live() -> None:
    """By so many that two of them would hardly ever choose differently by chance."""
    others = [
        subprocess.Popen([sys.executable, "-c", ANOTHER], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(BLOCKS // 3)
    ]
    try:
        ports = [*free_ports(1), *(int(other.stdout.readline()) for other in others if other.stdout is not None)]
    finally:
        for other in others:
            other.communicate(b"\n")
    assert len({port // BLOCK for port in ports}) == len(others) + 1


def test_a_port_is_not_chosen_again_soon_nor_while_somebody_listens_there() -> None:
    first, (taken,) = free_ports(BLOCK // 2), free_ports(1)
    assert taken not in first
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in free_ports(BLOCK)
        assert taken not in free_ports(BLOCK, "0.0.0.0")
    assert taken in free_ports(BLOCK)
