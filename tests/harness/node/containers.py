"""Runs containerd on the node, with its own configuration, state and socket.

Its content is in the cache, so that a large image is imported once for all runs.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cache import cache_folder
from harness.daemons import Daemon, daemon
from harness.failure import HarnessError
from harness.node import addresses
from harness.node.namespaces import Namespaces
from harness.runs import Run

CNI_PLUGINS = "/usr/lib/cni"
RECOVERED = "Start streaming server"
"""The last line that containerd logs before it serves a kubelet."""

CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without this line every sandbox fails if CAP_SYS_RESOURCE is missing.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{cni}"
"""


@dataclass(frozen=True)
class Containerd:
    """A running containerd; `ctr` uses the kubelet's containerd namespace, k8s.io."""

    socket: Path
    namespaces: Namespaces
    process: Daemon | None = None

    def answers(self) -> bool:
        """Whether it responds to `ctr version`."""
        with contextlib.suppress(HarnessError):
            return self.socket.exists() and bool(self.ctr("version"))
        return False

    def serves_a_kubelet(self) -> bool:
        """Whether it has recovered its pods' state. It refuses the kubelet until then, and only its log shows it."""
        return self.process is not None and RECOVERED in self.process.output() and self.answers()

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of a ctr command."""
        return self.namespaces.inside("ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments)

    def ctr(self, *arguments: str | Path) -> str:
        """The standard output of a ctr command; raises HarnessError with its stderr if it fails."""
        command = self.command(*arguments)
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode != 0:
            raise HarnessError(f"ctr {' '.join(map(str, arguments))} failed: {run.stderr.strip()}")
        return run.stdout

    def images(self) -> frozenset[str]:
        return frozenset(self.ctr("images", "list", "--quiet").split())

    def content(self) -> dict[str, int]:
        """Digest → size in bytes of every blob in containerd's store."""
        blobs = cache_folder("containerd") / "io.containerd.content.v1.content/blobs"
        digests = self.ctr("content", "list", "--quiet").split()
        return {digest: (blobs / digest.replace(":", "/")).stat().st_size for digest in digests}

    def forget_images(self, repository: str, kept: str) -> None:
        """Deletes the other versions of an image, and with them the layers that no other image uses."""
        rows = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        digests = {name: digest for name, _, digest, *_ in rows}
        old = {digest for name, digest in digests.items() if name.startswith(f"{repository}:") and name != kept}
        # containerd's CRI plugin lists each image a second time, by the digest of its configuration.
        gone = sorted(name for name, digest in digests.items() if digest in old - {digests[kept]})
        if gone:
            self.ctr("images", "delete", *gone)

    def forget_containers(self) -> None:
        """Deletes the records of a killed node's containers, whose processes have ended."""
        containers = self.ctr("containers", "list", "--quiet").split()
        if containers:
            self.ctr("containers", "delete", *containers)


@contextlib.contextmanager
def containerd(run: Run, namespaces: Namespaces, pause_image: str) -> Iterator[Containerd]:
    """containerd inside the node's namespaces, without any container."""
    socket = run.folder / "containerd.sock"
    config = _configured(run.folder, socket, pause_image)
    command = namespaces.inside("containerd", "--config", config)
    server = Containerd(socket, namespaces)
    with daemon(run, "containerd-recovery", command, gently=True) as process:
        process.wait_until(server.answers)
        server.forget_containers()
    # The second start finds no containers, so that the kubelet starts with an empty node.
    with daemon(run, "containerd", command, gently=True) as process:
        server = replace(server, process=process)
        process.wait_until(server.serves_a_kubelet)
        yield server


def _configured(folder: Path, socket: Path, pause_image: str) -> Path:
    cni = folder / "cni"
    cni.mkdir()
    (cni / "10-sdbench.conflist").write_text(json.dumps(_network(folder)))
    path = folder / "containerd.toml"
    path.write_text(
        CONFIG.format(
            root=cache_folder("containerd"),
            state=folder / "containerd",
            socket=socket,
            pause=pause_image,
            plugins=CNI_PLUGINS,
            cni=cni,
        )
    )
    return path


def _network(folder: Path) -> dict[str, object]:
    addressing = {
        "type": "host-local",
        "dataDir": str(folder / "ipam"),
        "ranges": [[{"subnet": addresses.PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": addresses.BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addressing}
    return {
        "cniVersion": "0.4.0",
        "name": "sdbench",
        "plugins": [bridge],
    }
