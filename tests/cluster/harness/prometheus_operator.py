"""How does the prometheus-operator's API come into a cluster? By the CRDs of its own module."""

from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until
from cluster.harness.tools import PROMETHEUS_OPERATOR, module_source

DEFINITIONS = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
VERSION = "monitoring.coreos.com/v1"
KINDS = ("podmonitors", "servicemonitors", "prometheusrules")
"""What the chart makes."""


def install_definitions(plane: ControlPlane, *more: str) -> None:
    """Apply the CRDs of what the chart makes, and of these further kinds; return when the API server serves them."""
    kinds = (*KINDS, *more)
    files = [module_source(PROMETHEUS_OPERATOR) / DEFINITIONS.format(kind) for kind in kinds]
    plane.kubectl("apply", "--server-side", *(part for file in files for part in ("-f", file)))
    until(lambda: all(plane.serves(VERSION, kind) for kind in kinds), 60, f"the API server to serve {', '.join(kinds)}")
