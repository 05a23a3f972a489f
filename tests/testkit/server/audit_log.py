"""Provides a control plane of its own whose API server keeps an audit log.

As on OpenShift, a client that creates an object which blocks its owner's deletion needs a right on the owner's
finalizers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.control_plane.audit import AuditLog, Request, audit_options
from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.operator_process import ROOT

CRD = ROOT / "crds/stablediffusionbenchmarks.yaml"
OWNERS = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"


@dataclass(frozen=True)
class AuditedControlPlane:
    """A control plane with both CRDs, and its audit log."""

    plane: ControlPlane
    log: AuditLog

    def requests_of(self, namespace: str) -> tuple[Request, ...]:
        """The requests of a namespace's ServiceAccounts so far."""
        return self.log.requests_of(namespace)


@contextmanager
def audited_control_plane(folder: Path) -> Iterator[AuditedControlPlane]:
    """A running control plane with both CRDs and an audit log in `folder`."""
    log = folder / "audit.log"
    options = audit_options(log)
    options["kube-apiserver"].append(OWNERS)
    with ControlPlane(options=options) as plane:
        plane.install_pytorchjob_crd()
        install_crd(plane)
        yield AuditedControlPlane(plane, AuditLog(log))


def install_crd(plane: ControlPlane) -> None:
    """Installs the Benchmarks' CRD; returns once the API server serves it."""
    plane.kubectl("apply", "-f", CRD)
    until(lambda: plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"), 60, "Benchmarks to be served")
