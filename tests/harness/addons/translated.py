"""Translates the prometheus-operator's configuration to HTTP discovery.

It replaces only the discovery and the rules' folder; every relabeling stays as it was generated.
"""

import json
import urllib.parse
from pathlib import Path
from typing import Any

from harness.addons.roles import META, PROVIDED
from harness.failure import HarnessError

UNDERSTOOD = {"role", "namespaces"}
REFRESH = "1s"

Config = dict[str, Any]


def translated(config: Config, rules: Path, discovery: str) -> Config:
    """The same configuration with `discovery` in place of Kubernetes' discovery, and with the rules of a folder."""
    copy: Config = json.loads(json.dumps(config))
    for job in copy["scrape_configs"]:
        asked = job.pop("kubernetes_sd_configs")
        _demand_provided(job, [each["role"] for each in asked])
        job["http_sd_configs"] = [_by_http(each, discovery) for each in asked]
    return copy | {"rule_files": [f"{rules}/*"]}


def _by_http(asked: Config, discovery: str) -> Config:
    unknown = asked.keys() - UNDERSTOOD
    if unknown:
        raise HarnessError(f"our discovery does not support {', '.join(sorted(unknown))} of {asked}")
    names = asked.get("namespaces", {}).get("names", [])
    query = urllib.parse.urlencode([("namespace", name) for name in names])
    return {"url": f"{discovery}/{asked['role']}?{query}", "refresh_interval": REFRESH}


def _demand_provided(job: Config, roles: list[str]) -> None:
    """Raises HarnessError for a label that our discovery lacks: Prometheus would silently take it as empty."""
    prefix = f"{META}_"
    sources = {label for step in job["relabel_configs"] for label in step.get("source_labels", ())}
    for label in sorted(label.removeprefix(prefix) for label in sources if label.startswith(prefix)):
        if not any(PROVIDED[role].fullmatch(label) for role in roles):
            raise HarnessError(f"{job['job_name']} uses {prefix}{label}, which our discovery does not provide")
