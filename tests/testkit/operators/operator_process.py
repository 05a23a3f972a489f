"""Runs an operator as a process of its own, and kills it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.control_plane.components import ControlPlane
from harness.polling import until
from harness.ports import free_ports
from testkit.server.accounts import ACCOUNT as ACCOUNT
from testkit.server.accounts import account as account

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "registry.example/trainer:1"


class OperatorProcess:
    """A context manager: inside, an operator of one namespace, or of all, runs and is ready."""

    def __init__(self, kubeconfig: Path, namespace: str | None, log: Path, *options: str) -> None:
        self._kubeconfig, self._namespace, self._log, self._options = kubeconfig, namespace, log, options
        (self.port,) = free_ports(1, "0.0.0.0")

    def __enter__(self) -> Self:
        options = ["--default-image", IMAGE, "--port", str(self.port), *self._options]
        options += ["--namespace", self._namespace] if self._namespace else []
        paths = os.pathsep.join(str(ROOT / part / "src") for part in ("operator", "trainer"))
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig), "PYTHONPATH": paths}
        environment.pop("KUBERNETES_SERVICE_HOST", None)
        with self._log.open("a") as log:
            command = [sys.executable, "-m", "sdbench.cli", "operator", *options]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        until(lambda: self.process.poll() is not None or self.answer("/healthz")[0] == 200, 60, self.log_tail())
        assert self.process.poll() is None, self.log_tail()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if error is not None:
            error.add_note(self.log_tail())

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.process.send_signal(signal.SIGKILL)

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of a GET; status 0 if nothing listens."""
        return http_get(self.port, path)

    def log_tail(self) -> str:
        """The end of the log, for a failure's message."""
        return f"the operator's log:\n{self._log.read_text()[-3000:]}"


def http_get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a GET; status 0 if nothing listens."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def apply(plane: ControlPlane, document: dict[str, Any], *options: str) -> None:
    """Applies one object with `kubectl apply`."""
    plane.kubectl("apply", "-f", "-", *options, input=json.dumps(document))


def read(plane: ControlPlane, namespace: str, *what: str) -> dict[str, Any]:
    """The object or list that `kubectl get` prints."""
    found: dict[str, Any] = json.loads(plane.kubectl("get", *what, "-n", namespace, "-o", "json"))
    return found


def condition(benchmark: dict[str, Any], kind: str) -> dict[str, Any]:
    """A Benchmark's condition of this type; empty if it has none."""
    conditions = benchmark.get("status", {}).get("conditions", ())
    return next((one for one in conditions if one["type"] == kind), {})
