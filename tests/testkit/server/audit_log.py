"""Provides a control plane of its own whose API server keeps an audit log.

As on OpenShift, whoever makes an object that blocks the deletion of its owner needs a right on the owner's finalizers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.control_plane.audit import AuditLog, Request, audited
from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.operator_process import ROOT

CRD = ROOT / "crds/stablediffusionbenchmarks.yaml"
OWNERS = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"


@dataclass(frozen=True)
class Audited:
    """A control plane with both CRDs, and its audit log."""

    plane: ControlPlane
    log: AuditLog

    def asked(self, namespace: str) -> tuple[Request, ...]:
        """What the ServiceAccounts of a namespace have asked for so far."""
        return self.log.asked(namespace)


@contextmanager
def audited_control_plane(folder: Path) -> Iterator[Audited]:
    """While inside, it answers."""
    log = folder / "audit.log"
    options = audited(log)
    options["kube-apiserver"].append(OWNERS)
    with ControlPlane(options=options) as plane:
        plane.install_pytorchjob_crd()
        install_crd(plane)
        yield Audited(plane, AuditLog(log))


def install_crd(plane: ControlPlane) -> None:
    """Have Benchmarks served."""
    plane.kubectl("apply", "-f", CRD)
    until(lambda: plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"), 60, "Benchmarks to be served")
