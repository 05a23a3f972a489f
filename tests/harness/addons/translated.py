"""Translates the prometheus-operator's configuration to HTTP discovery.

Only the discovery and the folder of the rules are replaced. Every relabeling stays as it was generated.
"""

import json
import urllib.parse
from pathlib import Path
from typing import Any

from harness.addons.roles import META, TOLD
from harness.failure import HarnessError

UNDERSTOOD = {"role", "namespaces"}
REFRESH = "1s"

Config = dict[str, Any]


def translated(config: Config, rules: Path, discovery: str) -> Config:
    """The same configuration, with the answers of `discovery` for those of Kubernetes, and the rules of a folder."""
    copy: Config = json.loads(json.dumps(config))
    for job in copy["scrape_configs"]:
        asked = job.pop("kubernetes_sd_configs")
        _demand_told(job, [each["role"] for each in asked])
        job["http_sd_configs"] = [_by_http(each, discovery) for each in asked]
    return copy | {"rule_files": [f"{rules}/*"]}


def _by_http(asked: Config, discovery: str) -> Config:
    unknown = asked.keys() - UNDERSTOOD
    if unknown:
        raise HarnessError(f"our discovery does not know {', '.join(sorted(unknown))} of {asked}")
    names = asked.get("namespaces", {}).get("names", [])
    query = urllib.parse.urlencode([("namespace", name) for name in names])
    return {"url": f"{discovery}/{asked['role']}?{query}", "refresh_interval": REFRESH}


def _demand_told(job: Config, roles: list[str]) -> None:
    """Prometheus takes a label that nobody tells for an empty one; here that would hide a gap of the harness."""
    prefix = f"{META}_"
    sources = {label for step in job["relabel_configs"] for label in step.get("source_labels", ())}
    for label in sorted(label.removeprefix(prefix) for label in sources if label.startswith(prefix)):
        if not any(TOLD[role].fullmatch(label) for role in roles):
            raise HarnessError(f"{job['job_name']} asks for {prefix}{label}, which our discovery does not tell")
