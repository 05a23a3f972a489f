"""Starts an operator quickly by forking a parent that has imported everything already.

The parent is multiprocessing's fork server. Each child is a complete operator, started as from the command line, with
its own kubeconfig and log. It can be killed like any process, and ends when the tests end.
"""

import asyncio
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from harness.ports import free_ports
from testkit.operators.operator_process import IMAGE, ROOT, http_get

PRELOADED = ["sdbench.cli", "sdbench.controller.operator", "testkit.operators.forked_operator"]
SOURCES = [str(ROOT / part) for part in ("operator/src", "trainer/src", "tests")]
EVERYWHERE = "0.0.0.0"
"""The address on which an operator listens."""

END_SECONDS = 15
READY_SECONDS = 60

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class ForkedOperator:
    """A running operator."""

    process: ForkServerProcess
    port: int
    log: Path

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end."""
        self.process.kill()
        self.process.join(END_SECONDS)

    def terminate(self) -> int | None:
        """Sends SIGTERM; returns the exit code, or None if the operator does not end in time."""
        self.process.terminate()
        self.process.join(END_SECONDS)
        return self.process.exitcode

    async def ready(self) -> None:
        """Returns once /healthz responds with 200."""
        end = time.monotonic() + READY_SECONDS
        while (await asyncio.to_thread(self.answer, "/healthz"))[0] != 200:
            assert self.process.is_alive(), self.log_tail()
            assert time.monotonic() < end, self.log_tail()

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of a GET; status 0 if nothing listens."""
        return http_get(self.port, path)

    def log_tail(self) -> str:
        """The end of the log, for a failure's message."""
        return f"the operator's log:\n{self.log.read_text()[-3000:]}"


def forked(kubeconfig: Path, namespace: str | None, log: Path, *options: str) -> ForkedOperator:
    """Starts an operator of one namespace, or of all."""
    _preload()
    (port,) = free_ports(1, EVERYWHERE)
    arguments = ["operator", "--default-image", IMAGE, "--port", str(port), *options]
    arguments += ["--namespace", namespace] if namespace else []
    process = _context.Process(target=_operate, args=(str(kubeconfig), arguments, str(log)), daemon=True)
    log.touch()
    process.start()
    return ForkedOperator(process, port, log)


@cache
def _preload() -> None:
    """Starts the fork server with a PYTHONPATH by which it imports this checkout."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*SOURCES, before])
    _context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    os.environ["PYTHONPATH"] = before


def _operate(kubeconfig: str, arguments: list[str], log: str) -> None:
    """Runs the command line in the child, with its output in the log."""
    from kubernetes.aio.config import kube_config

    from sdbench import cli

    # The client read KUBECONFIG when the parent imported it.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = kubeconfig
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.environ["KUBECONFIG"] = kubeconfig
    os.environ.pop("KUBERNETES_SERVICE_HOST", None)
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    cli.app(arguments)


def _end_with_the_tests() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
