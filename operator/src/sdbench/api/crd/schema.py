"""Generates the CustomResourceDefinition from the types: `python -m sdbench.api.crd.schema` prints it as YAML."""

import sys
from typing import Any

import yaml

from sdbench.api.crd.rules import cel_rules
from sdbench.api.crd.rules_gate import PARTS, WHOLE
from sdbench.api.crd.rules_scheduling import ANNOTATIONS, LABELS, SCHEDULING
from sdbench.api.crd.structural import Schema, at, lifted, structural
from sdbench.api.names import CATEGORY, GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION
from sdbench.api.spec import Spec
from sdbench.api.status import Phase, Status

HEADER = """\
# The StableDiffusionBenchmark CRD. Generated from operator/src/sdbench/api (spec.py, status.py, crd/rules.py) and
# trainer/src/sdbench_trainer/config.py by `make generate`; do not edit.
"""

COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", ".status.summary.reason", 0),
    ("Trials", "string", ".status.summary.trials", 0),
    ("Devices", "integer", ".status.summary.devices", 0),
    ("Img/s", "string", ".status.summary.imagesPerSecond", 0),
    ("Eff", "string", ".status.summary.scalingEfficiency", 0),
    ("Days", "string", ".status.summary.days", 0),
    ("Cost", "string", ".status.summary.cost", 0),
    ("Verdict", "string", ".status.summary.verdict", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("MFU", "string", ".status.summary.mfu", 1),
    ("CV", "string", ".status.summary.coefficientOfVariation", 1),
    ("Spent", "string", ".status.summary.spentDeviceHours", 1),
)
"""What `kubectl get` shows: title, type, where, and 1 for `-o wide` only."""


def root_schema() -> Schema:
    """The schema of the whole object, with its rules."""
    spec = structural(Spec)
    sweep = spec["properties"]["sweep"]["description"]
    spec["properties"]["sweep"] = lifted(at(spec, "trainer")) | {"description": sweep}
    schema: Schema = {
        "type": "object",
        "description": "A question to a cluster: how fast, how efficiently and for how much would it train "
        "Stable Diffusion?",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": spec,
            "status": _status(),
        },
    }
    for rule in (*cel_rules(schema), *PARTS, *WHOLE, *SCHEDULING, *LABELS, *ANNOTATIONS):
        at(schema, rule.at).setdefault("x-kubernetes-validations", []).append(rule.document())
    return schema


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": SINGULAR,
        "shortNames": [SHORT_NAME],
        "categories": [CATEGORY],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [_version()]},
    }


def crd_yaml() -> str:
    """The CRD as a file."""
    return HEADER + yaml.safe_dump(definition(), sort_keys=False, width=118, allow_unicode=True)


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".status.phase"}],
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": where} | ({"priority": wide} if wide else {})
            for name, kind, where, wide in COLUMNS
        ],
        "schema": {"openAPIV3Schema": root_schema()},
    }


def _status() -> Schema:
    schema = structural(Status, defaults=False)
    conditions = schema["properties"]["conditions"]
    # The API conventions make the conditions a map by type.
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    # kstatus compares the two generations, so an object is in progress before the operator has seen it.
    schema["default"] = {"observedGeneration": -1, "phase": Phase.PENDING.value}
    return schema


if __name__ == "__main__":
    sys.stdout.write(crd_yaml())
