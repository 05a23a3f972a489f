"""Tests that wrong values are refused with a message, and that every value has a comment and a schema."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chart.support.rendering import Helm, chart_file
from sdbench.controller.options import RESERVED_NAMES, RESERVED_PREFIXES

WRONG = [
    ({"crd": {"enabled": False}}, ("additional properties 'crd' not allowed",)),
    ({"crds": {"keep": "yes"}}, ("/crds/keep", "want boolean")),
    ({"watchNamespaces": "team-a"}, ("/watchNamespaces", "want array")),
    ({"watchNamespaces": ["Team A"]}, ("/watchNamespaces/0", "does not match pattern")),
    ({"watchNamespaces": ["a", "a"]}, ("/watchNamespaces", "are equal")),
    ({"image": {"tag": 0.1}}, ("/image/tag", "want string")),
    ({"image": {"digest": "latest"}}, ("/image/digest", "does not match pattern")),
    ({"image": {"pullPolicy": "Sometimes"}}, ("/image/pullPolicy", "must be one of")),
    ({"monitoring": {"podMonitor": {"interval": "soon"}}}, ("/monitoring/podMonitor/interval",)),
    ({"resources": {"limit": {}}}, ("/resources", "'limit' not allowed")),
    ({"bounds": {"maxDevices": -1}}, ("/bounds/maxDevices", "got -1, want 0")),
    ({"bounds": {"deviceHours": 500}}, ("/bounds/deviceHours", "want string")),
    ({"bounds": {"deviceHours": "many"}}, ("/bounds/deviceHours", "does not match pattern")),
    ({"bounds": {"trials": 1}}, ("/bounds", "'trials' not allowed")),
    ({"presets": {"Fast": {}}}, ("/presets", "'Fast' not allowed")),
    ({"presets": {"rdma": {"env": {}}}}, ("/presets/rdma", "'env' not allowed")),
    ({"presets": {"rdma": {"environment": {"NCCL_IB_GID_INDEX": 3}}}}, ("NCCL_IB_GID_INDEX", "want string")),
    ({"presets": {"rdma": {"environment": {"NCCL IB": "x"}}}}, ("/presets/rdma/environment", "not allowed")),
    ({"presets": {"rdma": {"resources": {"cpu": "1"}}}}, ("/presets/rdma/resources", "'cpu' not allowed")),
    ({"presets": {"rdma": {"resources": {"rdma/hca": "0"}}}}, ("/presets/rdma/resources", "does not match pattern")),
    (
        {"trainer": {"proxy": {"http": "http://me:secret@proxy:3128"}}},
        ("/trainer/proxy/http", "does not match pattern"),
    ),
    ({"presets": {"rdma": {"environment": {"NOTE": "a\nb"}}}}, ("/presets/rdma/environment/NOTE", "does not match")),
    ({"presets": {"rdma": {"annotations": {"bad key!": "x"}}}}, ("/presets/rdma/annotations", "not allowed")),
    ({"presets": {"rdma": {"resources": {"a..b/c": "1"}}}}, ("/presets/rdma/resources", "not allowed")),
    ({"trainer": {"proxy": {"https": "proxy:3128"}}}, ("/trainer/proxy/https", "does not match pattern")),
    ({"trainer": {"proxy": {"noProxy": "a, b"}}}, ("/trainer/proxy/noProxy", "does not match pattern")),
    ({"trainer": {"proxy": {"no_proxy": "a"}}}, ("/trainer/proxy", "'no_proxy' not allowed")),
    ({"trainer": {"imagePullSecrets": ["registry"]}}, ("/trainer/imagePullSecrets/0", "want object")),
    ({"trainer": {"serviceAccountName": "Shard Reader"}}, ("/trainer/serviceAccountName",)),
    ({"trainer": {"serviceAccountName": "a..b"}}, ("/trainer/serviceAccountName",)),
    ({"trainer": {"caBundle": {"configMap": "a", "key": "../b"}}}, ("/trainer/caBundle/key", "does not match")),
    ({"trainer": {"caBundle": {"secret": "a"}}}, ("/trainer/caBundle", "'secret' not allowed")),
    ({"monitoring": {"serviceMonitor": {"enabled": "yes"}}}, ("/monitoring/serviceMonitor/enabled", "want boolean")),
    ({"monitoring": {"prometheusRule": {"thresholds": {"dataWaitRatio": 20}}}}, ("/thresholds/dataWaitRatio",)),
    ({"monitoring": {"prometheusRule": {"thresholds": {"waiting": 1}}}}, ("/thresholds", "'waiting' not allowed")),
    ({"monitoring": {"prometheusRule": {"runbookUrl": "docs/alerts.md"}}}, ("/prometheusRule/runbookUrl",)),
    (
        {"monitoring": {"podMonitor": {"enabled": True, "interval": "1m"}, "prometheusRule": {"enabled": True}}},
        ("monitoring.podMonitor.interval: 1m is too long for monitoring.prometheusRule",),
    ),
    ({"networkPolicy": {"enabled": True}}, ("name the namespaces of your Benchmarks in networkPolicy.namespaces",)),
    ({"networkPolicy": {"objectStore": {"to": []}}}, ("/networkPolicy/objectStore/to", "want 1")),
    ({"networkPolicy": {"objectStore": {"ports": ["https"]}}}, ("/objectStore/ports/0", "want integer")),
    ({"networkPolicy": {"metricsFrom": [{}]}}, ("/networkPolicy/metricsFrom/0",)),
    ({"networkPolicy": {"metricsFrom": [{"ipBlock": {"cidr": "10.0.0.1"}}]}}, ("/ipBlock/cidr",)),
    ({"networkPolicy": {"extraEgress": [{"ports": [{"port": 80}]}]}}, ("/networkPolicy/extraEgress/0", "'to'")),
    ({"kueue": {"localQueues": [{"name": "a", "namespace": "b"}]}}, ("/kueue/localQueues/0", "'clusterQueue'")),
    ({"policies": {"default": {"maxDevices": "8"}}}, ("/policies/default/maxDevices", "want integer")),
    ({"policies": {"namespaces": {"team-a": {"image": []}}}}, ("/policies/namespaces/team-a", "'image' not allowed")),
    ({"revisionHistoryLimit": -1}, ("/revisionHistoryLimit",)),
    ({"test": {"benchmark": "tiny"}}, ("/test/benchmark", "want boolean")),
    ({"serviceAccount": {"create": False}}, ("set serviceAccount.name to the operator's account",)),
]


@pytest.mark.parametrize(("values", "words"), WRONG, ids=[json.dumps(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused_with_a_message_that_names_it(
    helm: Helm, values: dict[str, Any], words: tuple[str, ...]
) -> None:
    sentence = helm.refusal(values)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("variable", sorted(RESERVED_NAMES) + [f"{prefix}X" for prefix in RESERVED_PREFIXES])
def test_a_preset_that_the_operator_rejects_is_refused(helm: Helm, variable: str) -> None:
    sentence = helm.refusal({"presets": {"rdma": {"environment": {variable: "x"}}}})
    assert f"presets.rdma.environment.{variable}: a preset may not set it" in sentence


def test_a_null_value_is_refused_by_name_unless_it_is_optional(helm: Helm) -> None:
    refused = {}
    for path, _ in _paths(yaml.safe_load(chart_file("values.yaml"))):
        values: Any = None
        for key in reversed(path.split(".")):
            values = {key: values}
        done = helm.template(values)
        if done.returncode != 0:
            refused[path] = f"missing property '{path.split('.')[-1]}'" in done.stderr
    assert all(refused.values()), refused
    assert {"watchNamespaces", "bounds.deviceHours", "networkPolicy.objectStore.to"} <= refused.keys()


def test_the_schema_has_exactly_the_chart_values() -> None:
    in_values = {path for path, _ in _paths(yaml.safe_load(chart_file("values.yaml")))}
    schema = json.loads(chart_file("values.schema.json"))
    assert in_values == set(_known(schema, schema)) - {"global"}


def test_every_value_is_explained_in_the_line_above_it() -> None:
    lines = chart_file("values.yaml").splitlines()
    groups = {path.split(".")[-1] for path, value in _paths(yaml.safe_load(chart_file("values.yaml"))) if value}
    for above, line in itertools.pairwise(lines):
        key = line.strip().split(":")[0]
        opens_a_group = line.endswith(":") and key in groups
        if (
            line.strip()
            and not line.strip().startswith("#")
            and not opens_a_group
            and key not in ("requests", "limits")
        ):
            assert above.strip().startswith("#"), f"no comment above `{line.strip()}`"


OPEN = ("resources", "labels", "annotations")
"""Maps whose keys the installer chooses."""


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """(dotted path, whether it is a group) of every value."""
    for key, value in values.items():
        group = isinstance(value, dict) and bool(value) and key not in OPEN
        yield f"{prefix}{key}", group
        if group:
            yield from _paths(value, f"{prefix}{key}.")


def _known(schema: dict[str, Any], whole: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted path of every property of the schema."""
    for key, value in schema.get("properties", {}).items():
        yield f"{prefix}{key}"
        if key not in OPEN:
            referred = whole["definitions"].get(value.get("$ref", "").removeprefix("#/definitions/"), value)
            yield from _known(referred, whole, f"{prefix}{key}.")
