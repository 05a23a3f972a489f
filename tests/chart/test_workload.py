"""Tests that what the administrator fixes in training pods reaches the operator, and nothing else."""

import json
from typing import Any

import pytest

from chart.support.rendering import Helm, Manifest, of_kind, pod_spec, the

FOLDER = "/etc/sdbench/workload"
WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an account": ({"serviceAccountName": "reader"}, {"serviceAccountName": "reader"}),
    "pull secrets": ({"imagePullSecrets": [{"name": "b"}, {"name": "a"}]}, {"imagePullSecrets": ["b", "a"]}),
    "one proxy": ({"proxy": {"https": "http://proxy:3128"}}, {"proxy": {"https": "http://proxy:3128"}}),
    "every proxy": (
        {"proxy": {"http": "http://a:1", "https": "http://b:2", "noProxy": "10.0.0.0/8,.lan"}},
        {"proxy": {"http": "http://a:1", "https": "http://b:2", "noProxy": "10.0.0.0/8,.lan"}},
    ),
    "a bundle": ({"caBundle": {"configMap": "ca"}}, {"caBundle": {"configMap": "ca", "key": "ca.crt"}}),
    "a key of a bundle": (
        {"caBundle": {"configMap": "ca", "key": "x.pem"}},
        {"caBundle": {"configMap": "ca", "key": "x.pem"}},
    ),
    "two things": (
        {"serviceAccountName": "reader", "proxy": {"http": "http://a:1"}},
        {"serviceAccountName": "reader", "proxy": {"http": "http://a:1"}},
    ),
}


def file_of(objects: tuple[Manifest, ...]) -> Any:
    """The file that the operator reads, found by its argument and its volume."""
    pod = pod_spec(objects)
    (container,) = pod["containers"]
    path = container["args"][container["args"].index("--workload") + 1]
    (mount,) = (each for each in container["volumeMounts"] if path.startswith(each["mountPath"] + "/"))
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert (mount["mountPath"], mount["readOnly"]) == (FOLDER, True)
    (config,) = (o for o in of_kind(objects, "ConfigMap") if o["metadata"]["name"] == volume["configMap"]["name"])
    assert config["metadata"]["namespace"] == the(objects, "Deployment")["metadata"]["namespace"]
    return json.loads(config["data"][path.removeprefix(FOLDER + "/")])


@pytest.mark.parametrize(("trainer", "read"), WRITTEN.values(), ids=WRITTEN)
def test_the_operator_reads_what_was_written(helm: Helm, trainer: dict[str, Any], read: dict[str, Any]) -> None:
    assert file_of(helm.render({"trainer": trainer})) == read


@pytest.mark.parametrize("trainer", [{}, {"proxy": {"http": ""}}, {"caBundle": {"key": "x.pem"}}])
def test_an_empty_workload_makes_no_file(helm: Helm, trainer: dict[str, Any]) -> None:
    objects = helm.render({"trainer": trainer})
    assert not of_kind(objects, "ConfigMap")
    assert "--workload" not in pod_spec(objects)["containers"][0]["args"]


def test_another_workload_starts_another_operator(helm: Helm) -> None:
    def annotations(trainer: dict[str, Any]) -> Any:
        return the(helm.render({"trainer": trainer}), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    reader = {"serviceAccountName": "reader"}
    assert annotations(reader) != annotations({"serviceAccountName": "writer"})
    assert annotations(reader) != annotations({})
