"""Finds what a stopped cluster has left on the machine, and removes it.

Mounts, links, firewall rules and processes end with the node's namespaces. Only control groups belong to the machine.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.cache import cache_folder
from harness.failure import HarnessError
from harness.node import addresses
from harness.polling import until

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PODS_GROUP = "kubepods"
FIREWALL_MARKS = ("KUBE-", "CNI-")


def leftovers(folder: Path, others: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """A line for each thing that the cluster with this run folder has left on the machine.

    `others` are the firewall rules that existed before it.
    """
    return (
        *(f"process {line}" for line in _processes(str(folder))),
        *(f"mount {line}" for line in _mounts(folder, cache_folder())),
        *(f"link {name}" for name in _links()),
        *(f"firewall {line}" for line in sorted(firewall_rules() - others)),
        *(f"control group {path}" for path in pod_groups()),
        *(f"folder {path}" for path in (folder,) if path.exists()),
    )


def _mounts(*folders: Path) -> Iterator[str]:
    for line in Path("/proc/mounts").read_text().splitlines():
        if any(f" {folder}/" in line or f" {folder} " in line for folder in folders):
            yield line


def firewall_rules() -> frozenset[str]:
    """The machine's rules and chains that look like a node's; other container engines may have made some, too."""
    found: set[str] = set()
    for program in ("iptables-save", "ip6tables-save"):
        rules = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        lines = (line.partition(" [")[0] for line in rules.splitlines())  # without the counters, which grow
        found |= {line for line in lines if any(mark in line for mark in FIREWALL_MARKS)}
    return frozenset(found)


def demand_no_other_node() -> None:
    """Raises HarnessError if another kubelet runs pods: two would fight over the pods' control groups."""
    for group in pod_groups():
        if any(procs.read_text().strip() for procs in group.rglob("cgroup.procs")):
            raise HarnessError(f"another kubelet runs pods on this machine (processes under {group}): stop it first")
    remove_control_groups()


def remove_control_groups() -> None:
    """Removes the pods' groups, whose processes are dead or dying."""
    until(lambda: not any(not _removed(group) for group in pod_groups()), 20, "the pods' control groups to be empty")


def _removed(group: Path) -> bool:
    """Removes a tree of groups from its leaves up; returns False while one of their processes lives."""
    folders = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    try:
        for folder in (*folders, group):
            folder.rmdir()
    except OSError:
        return not group.exists()
    return True


def pod_groups() -> tuple[Path, ...]:
    """The control groups of all pods: one with cgroup v2, one per hierarchy with cgroup v1."""
    return tuple(sorted({*CONTROL_GROUPS.glob(PODS_GROUP), *CONTROL_GROUPS.glob(f"*/{PODS_GROUP}")}))


def _processes(folder: str) -> Iterator[str]:
    """Processes whose command line names the run folder, and processes of pods."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ").strip()
            group = (process / "cgroup").read_text()
        except OSError:
            continue
        if folder in command or f"/{PODS_GROUP}/" in group:
            yield f"{process.name}: {command}"


def _links() -> tuple[str, ...]:
    wanted = (addresses.MACHINE_LINK, addresses.BRIDGE)
    return tuple(name for name in wanted if Path("/sys/class/net", name).exists())
