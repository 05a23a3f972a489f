"""Tests that the administrator's settings for training pods reach the operator."""

import json
from typing import Any

import pytest

from chart.support.rendering import Helm, Manifest, of_kind, pod_spec, the

FOLDER = "/etc/sdbench/workload"
WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a service account": ({"serviceAccountName": "reader"}, {"serviceAccountName": "reader"}),
    "pull secrets": ({"imagePullSecrets": [{"name": "b"}, {"name": "a"}]}, {"imagePullSecrets": ["b", "a"]}),
    "one proxy": ({"proxy": {"https": "http://proxy:3128"}}, {"proxy": {"https": "http://proxy:3128"}}),
    "every proxy": (
        {"proxy": {"http": "http://a:1", "https": "http://b:2", "noProxy": "10.0.0.0/8,.lan"}},
        {"proxy": {"http": "http://a:1", "https": "http://b:2", "noProxy": "10.0.0.0/8,.lan"}},
    ),
    "a CA bundle": ({"caBundle": {"configMap": "ca"}}, {"caBundle": {"configMap": "ca", "key": "ca.crt"}}),
    "a key of a CA bundle": (
        {"caBundle": {"configMap": "ca", "key": "x.pem"}},
        {"caBundle": {"configMap": "ca", "key": "x.pem"}},
    ),
    "two settings": (
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
def test_the_operator_reads_the_settings_as_they_were_set(
    helm: Helm, trainer: dict[str, Any], read: dict[str, Any]
) -> None:
    assert file_of(helm.render({"trainer": trainer})) == read


@pytest.mark.parametrize("trainer", [{}, {"proxy": {"http": ""}}, {"caBundle": {"key": "x.pem"}}])
def test_empty_settings_create_no_file(helm: Helm, trainer: dict[str, Any]) -> None:
    objects = helm.render({"trainer": trainer})
    assert not of_kind(objects, "ConfigMap")
    assert "--workload" not in pod_spec(objects)["containers"][0]["args"]


def test_changed_settings_restart_the_operator(helm: Helm) -> None:
    def annotations(trainer: dict[str, Any]) -> Any:
        return the(helm.render({"trainer": trainer}), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    reader = {"serviceAccountName": "reader"}
    assert annotations(reader) != annotations({"serviceAccountName": "writer"})
    assert annotations(reader) != annotations({})
