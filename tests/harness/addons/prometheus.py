"""Runs a real Prometheus with a configuration from the harness or the prometheus-operator."""

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.daemons import daemon
from harness.failure import HarnessError
from harness.ports import free_ports
from harness.runs import Run

SCRAPE_INTERVAL = "1s"
TRAINER_LABELS = {"benchmark": "sdbench_dev_benchmark", "trial": "sdbench_dev_trial"}
"""Label of the series → label of the pod, in Prometheus' spelling."""


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server; results are lists of series as in its HTTP API."""

    url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector: `[{"metric": {label: value}, "value": [time, "number"]}]`."""
        return self._series("query", query=promql)

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The matrix between two Unix times: `[{"metric": {…}, "values": [[time, "number"], …]}]`."""
        return self._series("query_range", query=promql, start=str(start), end=str(end), step=str(step))

    def series(self, selector: str) -> list[dict[str, str]]:
        """The label sets that match, including those of series that have ended."""
        found: list[dict[str, str]] = self._data("series", **{"match[]": selector})
        return found

    def targets(self) -> list[dict[str, Any]]:
        """The active scrape targets, with health and last error."""
        active: list[dict[str, Any]] = self._data("targets", state="active")["activeTargets"]
        return active

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its query, health, last error and state, as of the last evaluation."""
        groups: list[dict[str, Any]] = self._data("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _series(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self._data(path, **parameters)["result"]
        return result

    def _data(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            return json.loads(_fetched(url))["data"]
        except urllib.error.HTTPError as error:
            raise HarnessError(f"Prometheus refused {path}: {error.read().decode(errors='replace')}") from error


@contextlib.contextmanager
def prometheus_server(run: Run, address: str, config: dict[str, Any], name: str = "prometheus") -> Iterator[Prometheus]:
    """A server at `address`; `name` names its configuration, its storage folder and its log."""
    (port,) = free_ports(1, address)
    file = run.folder / f"{name}.json"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={run.folder / name}",
        f"--web.listen-address={address}:{port}",
    ]
    server = Prometheus(f"http://{address}:{port}")
    with daemon(run, name, command) as process:
        process.wait_until(lambda: _ready(server))
        yield server


def installed_version() -> str:
    """The version of this machine's Prometheus, such as 2.42.0; Debian adds a suffix."""
    run = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+\.\d+\.\d+)", run.stdout + run.stderr)
    if found is None:
        raise HarnessError(f"prometheus --version printed no version: {run.stdout}{run.stderr}")
    return found[1]


def scraping_pods(discovery: str) -> dict[str, Any]:
    """A configuration that scrapes the operator and the trainers much as the chart's PodMonitors would."""
    pods = [{"url": f"{discovery}/pod", "refresh_interval": SCRAPE_INTERVAL}]
    trainer = [
        _kept("__meta_kubernetes_pod_labelpresent_sdbench_dev_benchmark", "true"),
        _kept("__meta_kubernetes_pod_label_training_kubeflow_org_replica_type", "master"),
        *(_copied(f"__meta_kubernetes_pod_label_{pod}", label) for label, pod in TRAINER_LABELS.items()),
    ]
    operator = [_kept("__meta_kubernetes_pod_label_app_kubernetes_io_name", "sdbench")]
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL, "evaluation_interval": "1s"},
        "scrape_configs": [
            {"job_name": "trainer", "http_sd_configs": pods, "relabel_configs": [*_common(), *trainer]},
            {
                "job_name": "operator",
                "honor_labels": True,  # its series have the Benchmark's namespace, not the operator's
                "http_sd_configs": pods,
                "relabel_configs": [*_common(), *operator],
            },
        ],
    }


def _common() -> list[dict[str, Any]]:
    ended = {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"}
    return [
        _kept("__meta_kubernetes_pod_container_port_name", "metrics"),
        ended,
        _copied("__meta_kubernetes_namespace", "namespace"),
        _copied("__meta_kubernetes_pod_name", "pod"),
    ]


def _kept(label: str, value: str) -> dict[str, Any]:
    return {"source_labels": [label], "regex": value, "action": "keep"}


def _copied(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}


def _ready(server: Prometheus) -> bool:
    with contextlib.suppress(OSError):
        return bool(_fetched(f"{server.url}/-/ready"))
    return False


def _fetched(url: str) -> bytes:
    """The content at a URL of this machine, fetched without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content
