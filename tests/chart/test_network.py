"""Tests which connections the NetworkPolicies allow, against a table.

Labels and ports are the real ones: the operator's come from its Deployment, a training pod's from the job that the
operator creates.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.support.network import Network, Place
from chart.support.rendering import NAMESPACE, Helm, Manifest, of_kind, pod_spec, the
from chart.support.value_sets import VALUE_SETS
from sdbench_trainer.run import METRICS_PORT

GOLDEN = Path(__file__).parents[1] / "unit" / "controller" / "job" / "golden"
MASTER = yaml.safe_load((GOLDEN / "gpu-two-pods.yaml").read_text())["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
RENDEZVOUS, NCCL, OPERATOR_PORT = 23456, 41873, 8080

CLOSED = {"networkPolicy": {"enabled": True, "namespaces": ["team-a", "team-b"]}}

rank_0 = Place("team-a", MASTER["metadata"]["labels"])
rank_8 = Place("team-a", {**rank_0.labels, "training.kubeflow.org/replica-type": "worker"})
of_another_benchmark = Place("team-a", {**rank_0.labels, "sdbench.dev/benchmark": "other"})
elsewhere = Place("team-b", rank_0.labels)
bystander = Place("team-a", {"app": "web"})
unlisted = Place("team-c", rank_0.labels)
prometheus = Place("monitoring", {"app.kubernetes.io/name": "prometheus"})
dns = Place("kube-system", {"k8s-app": "kube-dns"})
store_inside = Place("storage", {"app": "minio"})
internet = Place(address="203.0.113.7")
metadata_server = Place(address="169.254.169.254")
api_server = Place(address="10.0.0.1")


class Ends:
    """The pods of one installation, which depend on its values."""

    def __init__(self, objects: tuple[Manifest, ...]) -> None:
        labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        self.operator = Place(NAMESPACE, labels)
        self.test = Place(NAMESPACE, the(objects, "Pod")["metadata"]["labels"])
        self.neighbour = Place(NAMESPACE, {"app": "web"})
        self.network = Network(of_kind(objects, "NetworkPolicy"))


def installed(helm: Helm, values: dict[str, Any]) -> Ends:
    return Ends(helm.render(values))


ENDS = ("operator", "test", "neighbour")
TABLE: list[tuple[Place | str, Place | str, int, bool]] = [
    # Connections of the operator.
    (prometheus, "operator", OPERATOR_PORT, True),
    ("test", "operator", OPERATOR_PORT, True),
    ("neighbour", "operator", OPERATOR_PORT, False),
    (bystander, "operator", OPERATOR_PORT, False),
    (rank_0, "operator", OPERATOR_PORT, False),
    (internet, "operator", OPERATOR_PORT, False),
    (prometheus, "operator", 22, False),
    ("operator", api_server, 443, True),
    ("operator", api_server, 6443, True),
    ("operator", api_server, 8080, False),
    ("operator", dns, 53, True),
    ("operator", rank_0, METRICS_PORT, False),
    # Connections among training pods.
    (rank_8, rank_0, RENDEZVOUS, True),
    (rank_0, rank_8, NCCL, True),
    (rank_0, of_another_benchmark, NCCL, True),
    (rank_0, elsewhere, NCCL, False),
    (elsewhere, rank_0, RENDEZVOUS, False),
    (bystander, rank_0, RENDEZVOUS, False),
    (rank_0, bystander, 8080, False),
    # Their metrics.
    (prometheus, rank_0, METRICS_PORT, True),
    (prometheus, rank_0, RENDEZVOUS, False),
    (bystander, rank_0, METRICS_PORT, False),
    ("operator", rank_0, METRICS_PORT, False),
    # Their connections to others.
    (rank_0, dns, 53, True),
    (rank_0, dns, 8080, False),
    (rank_0, internet, 443, True),
    (rank_0, internet, 80, False),
    (rank_0, metadata_server, 80, False),
    (rank_0, store_inside, 9000, False),
    (rank_0, api_server, 6443, False),
    # Pods that no policy selects.
    (bystander, internet, 80, True),
    (unlisted, internet, 80, True),
]


@pytest.fixture(scope="module")
def closed(helm: Helm) -> Ends:
    return installed(helm, CLOSED)


def resolved(end: Place | str, ends: Ends) -> Place:
    return getattr(ends, end) if isinstance(end, str) else end


@pytest.mark.parametrize(("source", "destination", "port", "allowed"), TABLE)
def test_a_connection_is_allowed_or_not(
    closed: Ends, source: Place | str, destination: Place | str, port: int, allowed: bool
) -> None:
    found = closed.network.allows(resolved(source, closed), resolved(destination, closed), port)
    assert found is allowed


def test_dns_is_allowed_over_udp_too(closed: Ends) -> None:
    assert closed.network.allows(rank_0, dns, 53, "UDP")
    assert closed.network.allows(closed.operator, dns, 53, "UDP")
    assert not closed.network.allows(rank_0, internet, 443, "UDP")


def test_the_ports_are_those_of_the_containers(helm: Helm, closed: Ends) -> None:
    (operator,) = pod_spec(helm.render(CLOSED))["containers"]
    assert [port["containerPort"] for port in operator["ports"]] == [OPERATOR_PORT]
    ports = {port["name"]: port["containerPort"] for port in MASTER["spec"]["containers"][0]["ports"]}
    assert ports == {"metrics": METRICS_PORT, "pytorchjob-port": RENDEZVOUS}


STORE = {"objectStore": {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}}}]}}
CHOICES: dict[str, tuple[dict[str, Any], Place, Place, int, bool]] = {
    "a store in the cluster": (
        STORE | {"objectStore": {**STORE["objectStore"], "ports": [9000]}},
        rank_0,
        store_inside,
        9000,
        True,
    ),
    "no other store": (STORE, rank_0, internet, 443, False),
    "a range with an exception": (
        {"objectStore": {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}]}},
        *(rank_0, internet, 443, False),
    ),
    "another Prometheus": (
        {"metricsFrom": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]},
        *(bystander, rank_0, METRICS_PORT, True),
    ),
    "no scrapers": ({"metricsFrom": []}, prometheus, rank_0, METRICS_PORT, False),
    "an additional rule": (
        {"extraEgress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80}]}]},
        *(rank_0, metadata_server, 80, True),
    ),
    "a node-local DNS cache": (
        {"dns": {"to": [{"ipBlock": {"cidr": "169.254.20.10/32"}}]}},
        *(rank_0, Place(address="169.254.20.10"), 53, True),
    ),
}


@pytest.mark.parametrize(("chosen", "source", "destination", "port", "allowed"), CHOICES.values(), ids=CHOICES)
def test_the_values_set_the_peers(
    helm: Helm, chosen: dict[str, Any], source: Place, destination: Place, port: int, allowed: bool
) -> None:
    network = installed(helm, {"networkPolicy": CLOSED["networkPolicy"] | chosen}).network
    assert network.allows(source, destination, port) is allowed


def test_without_scrapers_the_installation_test_still_reaches_the_operator(helm: Helm) -> None:
    ends = installed(helm, {"networkPolicy": CLOSED["networkPolicy"] | {"metricsFrom": []}})
    assert not ends.network.allows(prometheus, ends.operator, OPERATOR_PORT)
    assert ends.network.allows(ends.test, ends.operator, OPERATOR_PORT)


@pytest.mark.parametrize(
    ("proxy", "port"),
    [
        ({"https": "http://proxy.example:3128"}, 3128),
        ({"http": "http://proxy.example:3128/"}, 3128),
        ({"http": "http://proxy.example"}, 80),
        ({"http": "http://[2001:db8::1]:8888"}, 8888),
    ],
)
def test_training_pods_reach_their_proxy(helm: Helm, proxy: dict[str, str], port: int) -> None:
    network = installed(helm, CLOSED | {"trainer": {"proxy": proxy}}).network
    assert network.allows(rank_0, internet, port)
    assert network.allows(rank_0, internet, 443)
    assert not network.allows(rank_0, internet, port + 1)


def test_proxy_and_store_have_peers_of_their_own(helm: Helm) -> None:
    proxied = {"trainer": {"proxy": {"https": "http://proxy.example:3128"}}}
    places = STORE | {"proxy": {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}}
    network = installed(helm, {"networkPolicy": CLOSED["networkPolicy"] | places} | proxied).network
    assert network.allows(rank_0, internet, 3128)
    assert not network.allows(rank_0, internet, 443)
    assert network.allows(rank_0, store_inside, 443)
    assert not network.allows(rank_0, store_inside, 3128)


def test_watched_namespaces_get_policies(helm: Helm) -> None:
    policies = of_kind(helm.render(VALUE_SETS["two namespaces, closed"]), "NetworkPolicy")
    assert [p["metadata"]["namespace"] for p in policies] == [NAMESPACE, "team-a", "team-b"]


def test_network_policies_are_off_by_default(helm: Helm) -> None:
    assert not of_kind(helm.render(), "NetworkPolicy")
