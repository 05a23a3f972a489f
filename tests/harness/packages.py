"""Lists the Debian packages that the machine needs, and installs them if this is root."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.cache import say
from harness.failure import HarnessError, last_lines

NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "gcc": "gcc",
    "prometheus": "prometheus",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/include/stdio.h": "libc6-dev",
}
"""A needed program or file → the package that provides it."""


def demand_packages() -> None:
    """Returns once every program is installed; installs missing packages with apt if this is root, else raises."""
    missing = _missing()
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise HarnessError(f"this machine lacks the Debian packages {names}: install them (apt-get install {names})")
    say(f"installing {names}")
    _apt("update")
    _apt("install", "-y", "--no-install-recommends", *missing)
    if _missing():
        raise HarnessError(f"apt installed {names}, but these are still not found: {' '.join(_missing())}")


def demand_root() -> None:
    """Raises HarnessError unless this is root, which a node's namespaces, mounts and cgroups need."""
    if os.geteuid() != 0:
        raise HarnessError("a cluster with a real node needs root (containerd, network namespaces): run this as root")


def _missing() -> list[str]:
    return sorted({package for wanted, package in NEEDED.items() if not _found(wanted)})


def _found(wanted: str) -> bool:
    return Path(wanted).exists() if wanted.startswith("/") else shutil.which(wanted, path=_search_path()) is not None


def _search_path() -> str:
    """PATH plus the sbin folders, which root's PATH may lack in a container."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", *arguments]
    run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise HarnessError(f"apt-get {arguments[0]} failed:\n{last_lines(run.stdout + run.stderr)}")
