"""Runs the prometheus-operator as a process and reads the configuration that it generates."""

import base64
import contextlib
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.addons.prometheus import installed_version
from harness.control_plane.components import ControlPlane
from harness.daemons import Daemon, daemon
from harness.polling import until
from harness.ports import free_ports
from harness.runs import Run
from harness.tools import PROMETHEUS_OPERATOR, binary, module_source

DEFINITIONS = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
VERSION = "monitoring.coreos.com/v1"
KINDS = ("podmonitors", "servicemonitors", "prometheusrules")
"""The kinds that the chart creates."""

ITS_OWN = ("prometheuses", "probes")
NAMESPACE, NAME = "monitoring", "reader"
SELECTED = {"release": "reader"}
"""The label by which this Prometheus selects monitors and rules, in every namespace."""

SHARD = {"$(SHARD)": "0"}
"""Variables that Prometheus' config-reloader would replace from its environment."""


def install_definitions(plane: ControlPlane, *more: str) -> None:
    """Applies the CRDs of the chart's kinds and of `more`; returns once the API server serves them."""
    kinds = (*KINDS, *more)
    files = [module_source(PROMETHEUS_OPERATOR) / DEFINITIONS.format(kind) for kind in kinds]
    plane.kubectl("apply", "--server-side", *(part for file in files for part in ("-f", file)))
    until(lambda: all(plane.serves(VERSION, kind) for kind in kinds), 60, f"the API server to serve {', '.join(kinds)}")


@dataclass(frozen=True)
class Generated:
    """A Prometheus configuration, and its rule files by name."""

    config: dict[str, Any]
    rules: Mapping[str, str]


@contextlib.contextmanager
def prometheus_operator(run: Run, plane: ControlPlane) -> Iterator[Daemon]:
    """A prometheus-operator with one Prometheus without replicas, since only its configuration is needed."""
    install_definitions(plane, *ITS_OWN)
    plane.kubectl("apply", "-f", "-", input=json.dumps(_reader()))
    (port,) = free_ports(1)
    command: list[str | Path] = [
        binary("prometheus-operator"),
        f"--apiserver={plane.server}",
        f"--cert-file={plane.administrator.certificate}",
        f"--key-file={plane.administrator.key}",
        f"--ca-file={plane.authority.certificate}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with daemon(run, "prometheus-operator", command) as started:
        yield started


def generated(plane: ControlPlane, operator: Daemon) -> Generated:
    """The configuration, once it covers every monitor and rule that this Prometheus selects."""
    jobs = {f"{kind}/{name}" for kind in ("podMonitor", "serviceMonitor") for name in _selected(plane, f"{kind}s")}
    rules = {name.replace("/", "-") for name in _selected(plane, "prometheusrules")}

    def covers() -> bool:
        made = _made(plane)
        scraped = {job["job_name"].rpartition("/")[0] for job in made.config.get("scrape_configs", ())}
        return scraped == jobs and len(made.rules) == len(rules)

    operator.wait_until(covers)
    return _made(plane)


def _selected(plane: ControlPlane, resource: str) -> list[str]:
    """`namespace/name` of each selected object of this kind."""
    label = ",".join(f"{key}={value}" for key, value in SELECTED.items())
    path = '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
    return plane.kubectl("get", resource, "-A", "-l", label, "-o", f"jsonpath={path}").split()


def _made(plane: ControlPlane) -> Generated:
    """The configuration now in the operator's Secret and ConfigMaps; empty before the first."""
    secrets = _items(plane, "secrets", f"prometheus-{NAME}")
    maps = _items(plane, "configmaps", f"prometheus-{NAME}-rulefiles")
    packed = [gzip.decompress(base64.b64decode(each["data"]["prometheus.yaml.gz"])).decode() for each in secrets]
    text = packed[0] if packed else "{}"
    for variable, value in SHARD.items():
        text = text.replace(variable, value)
    rules = {name: content for each in maps for name, content in each.get("data", {}).items()}
    return Generated(yaml.safe_load(text), rules)


def _items(plane: ControlPlane, resource: str, prefix: str) -> list[dict[str, Any]]:
    items = json.loads(plane.kubectl("get", resource, "-n", NAMESPACE, "-o", "json"))["items"]
    wanted = (prefix,) if resource == "secrets" else (prefix, f"{prefix}-0")
    return [each for each in items if each["metadata"]["name"] in wanted]


def _reader() -> dict[str, Any]:
    """A Namespace and a Prometheus much like kube-prometheus-stack's, with this machine's version."""
    selector = {"matchLabels": SELECTED}
    selectors = {f"{kind}Selector": selector for kind in ("podMonitor", "serviceMonitor", "rule")}
    namespaces: dict[str, Any] = {f"{kind}NamespaceSelector": {} for kind in ("podMonitor", "serviceMonitor", "rule")}
    spec = {
        "replicas": 0,
        "version": f"v{installed_version()}",
        "serviceDiscoveryRole": "EndpointSlice",
        "scrapeInterval": "1s",
        "evaluationInterval": "1s",
        **selectors,
        **namespaces,
    }
    prometheus = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    items = [namespace, {"apiVersion": VERSION, "kind": "Prometheus", **prometheus}]
    return {"apiVersion": "v1", "kind": "List", "items": items}
