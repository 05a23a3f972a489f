"""Evaluates NetworkPolicies, since the tests' network enforces nothing.

As Kubernetes defines it: policies only add; a pod that none selects in a direction is open in that direction; a
connection needs the leave of its source's egress and of its destination's ingress; replies are always free.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chart.support.rendering import Manifest

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """An end of a connection: a pod with its labels, or, without a namespace, an address outside the cluster."""

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    address: str = ""


@dataclass(frozen=True)
class Network:
    """The policies of a cluster, and the labels of its namespaces beside their names."""

    policies: tuple[Manifest, ...]
    namespaces: Mapping[str, Labels] = field(default_factory=dict)

    def allows(self, source: Place, destination: Place, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection may be opened."""
        leaves = self._permits("Egress", source, destination, port, protocol)
        return leaves and self._permits("Ingress", destination, source, port, protocol)

    def _permits(self, direction: str, mine: Place, other: Place, port: int, protocol: str) -> bool:
        """Whether the policies of one end allow the connection with the other."""
        chosen = [p for p in self.policies if direction in p["spec"]["policyTypes"] and _selects(p, mine)]
        rules = [(p, rule) for p in chosen for rule in p["spec"].get(direction.lower(), ())]
        return not chosen or any(self._fits(p, rule, direction, other, port, protocol) for p, rule in rules)

    def _fits(self, policy: Manifest, rule: Manifest, direction: str, other: Place, port: int, protocol: str) -> bool:
        peers = rule.get("from" if direction == "Ingress" else "to", ())
        ports = rule.get("ports", ())
        at_a_port = not ports or any(_is_port(each, port, protocol) for each in ports)
        return at_a_port and (not peers or any(self._is_peer(policy, peer, other) for peer in peers))

    def _is_peer(self, policy: Manifest, peer: Manifest, other: Place) -> bool:
        if "ipBlock" in peer:
            return bool(other.address) and _in_block(peer["ipBlock"], other.address)
        if not other.namespace:
            return False
        if "namespaceSelector" in peer:
            here = _matches(peer["namespaceSelector"], self._labels(other.namespace))
        else:
            here = other.namespace == policy["metadata"]["namespace"]
        return here and _matches(peer.get("podSelector", {}), other.labels)

    def _labels(self, namespace: str) -> Labels:
        return {"kubernetes.io/metadata.name": namespace, **self.namespaces.get(namespace, {})}


def _selects(policy: Manifest, place: Place) -> bool:
    here = place.namespace == policy["metadata"]["namespace"]
    return here and _matches(policy["spec"]["podSelector"], place.labels)


def _is_port(wanted: Manifest, port: int, protocol: str) -> bool:
    lowest: int = wanted.get("port", 0)
    highest: int = wanted.get("endPort", lowest or 65535)
    return bool(wanted.get("protocol", "TCP") == protocol) and lowest <= port <= highest


def _in_block(block: Manifest, address: str) -> bool:
    found = ipaddress.ip_address(address)
    outside: Iterable[Any] = block.get("except", ())
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(each) for each in outside
    )


def _matches(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector, with both of its parts, chooses these labels."""
    equal: Labels = selector.get("matchLabels", {})
    return equal.items() <= labels.items() and all(
        _holds(each, labels) for each in selector.get("matchExpressions", ())
    )


def _holds(expression: Manifest, labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values", ())
    operators = {
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
    }
    return operators[expression["operator"]]
