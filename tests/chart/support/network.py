"""Evaluates NetworkPolicies, because the tests' network does not enforce them.

The rules are those of Kubernetes. If no policy selects a pod for a direction, all connections in that direction are
allowed; further policies only allow more. A connection must be allowed by the egress policies of its source and by the
ingress policies of its destination. Replies are always allowed.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

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
        chosen = [
            policy
            for policy in self.policies
            if direction in policy["spec"]["policyTypes"]
            and mine.namespace == policy["metadata"]["namespace"]
            and _matches(policy["spec"]["podSelector"], mine.labels)
        ]
        for policy in chosen:
            for rule in policy["spec"].get(direction.lower(), ()):
                peers = rule.get("from" if direction == "Ingress" else "to", ())
                # A rule without ports or without peers allows every one of them.
                at_a_port = not rule.get("ports") or any(_is_port(each, port, protocol) for each in rule["ports"])
                if at_a_port and (not peers or any(self._is_peer(policy, peer, other) for peer in peers)):
                    return True
        return not chosen

    def _is_peer(self, policy: Manifest, peer: Manifest, other: Place) -> bool:
        if "ipBlock" in peer:
            if not other.address:
                return False
            block, address = peer["ipBlock"], ipaddress.ip_address(other.address)
            inside = [address in ipaddress.ip_network(cidr) for cidr in (block["cidr"], *block.get("except", ()))]
            return inside[0] and not any(inside[1:])
        if not other.namespace:
            return False
        if "namespaceSelector" in peer:
            labels = {"kubernetes.io/metadata.name": other.namespace, **self.namespaces.get(other.namespace, {})}
            here = _matches(peer["namespaceSelector"], labels)
        else:
            here = other.namespace == policy["metadata"]["namespace"]
        return here and _matches(peer.get("podSelector", {}), other.labels)


def _is_port(wanted: Manifest, port: int, protocol: str) -> bool:
    lowest: int = wanted.get("port", 0)
    highest: int = wanted.get("endPort", lowest or 65535)
    return bool(wanted.get("protocol", "TCP") == protocol) and lowest <= port <= highest


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
