"""Tests that pods get what the administrator fixed, in a form that their programs understand."""

import os
import re
from typing import Any

import pytest
import yaml
from botocore.utils import get_environ_proxies
from requests.utils import should_bypass_proxies

from sdbench.api.spec import Data
from sdbench.api.workload import Workload
from sdbench.controller.job.pod_defaults import CA_VARIABLES, PROXY_VARIABLES, UNPROXIED, variables
from sdbench.controller.job.pytorchjob import pytorchjob
from unit.controller.shapes import ROOT, benchmark, fixed, start

PROXY = "http://proxy.example:3128"
OUTSIDE = {"http": PROXY, "https": PROXY}
BUNDLE = {"configMap": "site-ca"}


def pods(workload: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    """The pods of the master and the workers with this Workload."""
    one = fixed(benchmark(**spec), Workload.model_validate(workload))
    replicas = pytorchjob(one, start(one, pods=2))["spec"]["pytorchReplicaSpecs"].values()
    return [replica["template"]["spec"] for replica in replicas]


def environment(pod: dict[str, Any]) -> dict[str, str]:
    (container,) = pod["containers"]
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)), "a variable is set twice"
    return {one["name"]: one["value"] for one in container["env"]}


def proxied(workload: dict[str, Any], endpoint: str | None = None) -> dict[str, str]:
    """The variables of a container that reads its shards from this endpoint."""
    return variables(Workload.model_validate(workload), Data(remote="s3://b/shards", endpoint=endpoint))


def test_the_service_account_is_set_and_its_token_is_not_mounted() -> None:
    for pod in pods({"serviceAccountName": "trainer"}):
        assert pod["serviceAccountName"] == "trainer"
        assert pod["automountServiceAccountToken"] is False


def test_an_empty_workload_changes_nothing_in_the_pods() -> None:
    one = benchmark()
    assert pytorchjob(fixed(one, Workload()), start(one)) == pytorchjob(one, start(one))
    assert "serviceAccountName" not in pods({})[0]
    assert "imagePullSecrets" not in pods({})[0]


@pytest.mark.parametrize(
    ("authors", "fixed_ones", "merged"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["mine"], [], ["mine"]),
        (["mine"], ["a"], ["mine", "a"]),
        (["b", "mine"], ["a", "b", "a"], ["b", "mine", "a"]),
    ],
)
def test_pull_secrets_are_the_authors_and_then_the_administrators_each_once(
    authors: list[str], fixed_ones: list[str], merged: list[str]
) -> None:
    for pod in pods({"imagePullSecrets": fixed_ones}, imagePullSecrets=authors):
        assert pod["imagePullSecrets"] == [{"name": name} for name in merged]


def test_proxy_variables_come_in_both_cases_and_exclude_the_cluster() -> None:
    for pod in pods({"proxy": OUTSIDE | {"noProxy": "10.0.0.0/8, .example.org,,localhost"}}):
        found = environment(pod)
        unproxied = ",".join((*UNPROXIED, "10.0.0.0/8", ".example.org"))
        assert [found[name] for name in PROXY_VARIABLES] == [PROXY, PROXY, unproxied] * 2


@pytest.mark.parametrize(
    ("proxy", "names"),
    [
        ({"http": PROXY}, {"HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"}),
        ({"https": PROXY}, {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}),
        ({"noProxy": "example.org"}, {"NO_PROXY", "no_proxy"}),
    ],
)
def test_only_given_proxy_variables_are_set(proxy: dict[str, str], names: set[str]) -> None:
    assert set(proxied({"proxy": proxy})) == names


@pytest.mark.parametrize(
    ("url", "endpoint", "direct"),
    [
        ("https://s3.eu-west-1.amazonaws.com/b/index.json", None, False),
        ("https://minio.example:9000/b/index.json", "https://minio.example:9000", False),
        ("http://minio.storage.svc:9000/b/index.json", "http://minio.storage.svc:9000", True),
        ("http://minio.storage.svc.cluster.local/b/index.json", None, True),
        ("http://minio:9000/b/index.json", "http://minio:9000", True),
        ("http://169.254.169.254/latest/meta-data", None, True),
        ("http://169.254.170.23/v1/credentials", None, True),
        ("http://metadata.google.internal/computeMetadata/v1", None, True),
        ("http://127.0.0.1:9464/metrics", None, True),
    ],
)
def test_s3_clients_use_the_proxy_only_for_outside_servers(
    monkeypatch: pytest.MonkeyPatch, url: str, endpoint: str | None, direct: bool
) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in proxied({"proxy": OUTSIDE}, endpoint).items():
        monkeypatch.setenv(name, value)
    assert bool(get_environ_proxies(url)) is not direct, "boto3"
    assert should_bypass_proxies(url, os.environ["no_proxy"]) is direct, "requests"


def test_no_pod_starts_without_its_ca_bundle() -> None:
    for pod in pods({"caBundle": BUNDLE | {"key": "bundle.pem"}}):
        (volume,) = (one["configMap"] for one in pod["volumes"] if one["name"] == "ca-bundle")
        assert (volume["name"], volume["optional"]) == ("site-ca", False)
        assert volume["items"] == [{"key": "bundle.pem", "path": "ca.crt"}]
        (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "ca-bundle")
        assert mount["readOnly"] is True
        found = environment(pod)
        assert {found[name] for name in CA_VARIABLES} == {f"{mount['mountPath']}/ca.crt"}


def test_the_ca_bundles_key_has_a_default() -> None:
    (volume,) = (one["configMap"] for one in pods({"caBundle": BUNDLE})[0]["volumes"] if one["name"] == "ca-bundle")
    assert volume["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_page_names_every_variable_and_its_example_is_valid() -> None:
    page = (ROOT / "docs/pods.md").read_text()
    assert [name for name in (*CA_VARIABLES, *PROXY_VARIABLES[:3]) if f"`{name}`" not in page] == []
    values = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])["trainer"]
    plain = [one["name"] for one in values["imagePullSecrets"]]
    assert Workload.model_validate(values | {"imagePullSecrets": plain}).service_account_name == "trainer"
