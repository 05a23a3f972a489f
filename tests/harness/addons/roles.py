"""Builds target groups per role, as Prometheus' own Kubernetes discovery would.

Only the labels that relabelings use here are provided. PROVIDED lists them, and any other one is refused.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Object = dict[str, Any]
Labels = dict[str, str]
Group = dict[str, Any]
Read = Callable[[str], list[Object]]
"""The objects that the API server lists at a path."""

META = "__meta_kubernetes"
OF_A_POD = (
    r"namespace|pod_(name|uid|ip|phase|ready|node_name|(label|labelpresent)_\w+)"
    r"|pod_container_(name|port_name|port_number|port_protocol)"
)
OF_A_SLICE = (
    r"endpointslice_(name|address_type|port|port_name|port_protocol|endpoint_conditions_ready"
    r"|address_target_kind|address_target_name|(label|labelpresent)_\w+)"
    r"|service_(name|(label|labelpresent)_\w+)"
)
PROVIDED = {"pod": re.compile(OF_A_POD), "endpointslice": re.compile(f"{OF_A_POD}|{OF_A_SLICE}")}
"""Role → the names of its labels after `__meta_kubernetes_`."""


def of_pods(read: Read) -> Iterator[Group]:
    """A group per declared container port of each pod that has an address."""
    for pod in read("api/v1/pods"):
        if address := pod["status"].get("podIP"):
            for container, port in _ports(pod):
                yield _group(address, port["containerPort"], {**_pod(pod), **_container(container, port)})


def of_endpointslices(read: Read) -> Iterator[Group]:
    """A group per address and port of each EndpointSlice, with the labels of its Service and its pod.

    Prometheus adds a group for each port of such a pod that no slice names; a monitor of a named port drops those.
    """
    pods, services = (_by_name(read(path)) for path in ("api/v1/pods", "api/v1/services"))
    for one in read("apis/discovery.k8s.io/v1/endpointslices"):
        owner = one["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        service = services.get((one["metadata"]["namespace"], owner))
        common = {**_slice(one), **(_service(service) if service else {})}
        for endpoint, port in ((each, port) for each in one.get("endpoints") or () for port in one.get("ports") or ()):
            behind = _behind(endpoint, port, pods)
            for address in endpoint["addresses"]:
                yield _group(address, port["port"], {**common, **_endpoint(endpoint, port), **behind})


ROLES: dict[str, Callable[[Read], Iterator[Group]]] = {"pod": of_pods, "endpointslice": of_endpointslices}


def _group(address: str, port: int, labels: Labels) -> Group:
    return {"targets": [f"{address}:{port}"], "labels": {f"{META}_{name}": value for name, value in labels.items()}}


def _by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in objects}


def _ports(pod: Object) -> Iterator[tuple[Object, Object]]:
    return ((container, port) for container in pod["spec"]["containers"] for port in container.get("ports", ()))


def _pod(pod: Object) -> Labels:
    metadata, status = pod["metadata"], pod["status"]
    ready = [each["status"].lower() for each in status.get("conditions", ()) if each["type"] == "Ready"]
    return {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_uid": metadata["uid"],
        "pod_ip": status.get("podIP", ""),
        "pod_phase": status.get("phase", ""),
        "pod_ready": ready[0] if ready else "unknown",
        "pod_node_name": pod["spec"].get("nodeName", ""),
        **_labelled("pod", metadata),
    }


def _container(container: Object, port: Object) -> Labels:
    return {
        "pod_container_name": container["name"],
        "pod_container_port_name": port.get("name", ""),
        "pod_container_port_number": str(port["containerPort"]),
        "pod_container_port_protocol": port.get("protocol", "TCP"),
    }


def _slice(one: Object) -> Labels:
    metadata = one["metadata"]
    return {
        "namespace": metadata["namespace"],
        "endpointslice_name": metadata["name"],
        "endpointslice_address_type": one["addressType"],
        **_labelled("endpointslice", metadata),
    }


def _service(service: Object) -> Labels:
    return {"service_name": service["metadata"]["name"], **_labelled("service", service["metadata"])}


def _endpoint(endpoint: Object, port: Object) -> Labels:
    target = endpoint.get("targetRef", {})
    return {
        "endpointslice_port": str(port["port"]),
        "endpointslice_port_name": port.get("name", ""),
        "endpointslice_port_protocol": port.get("protocol", "TCP"),
        "endpointslice_endpoint_conditions_ready": str(endpoint.get("conditions", {}).get("ready", "")).lower(),
        "endpointslice_address_target_kind": target.get("kind", ""),
        "endpointslice_address_target_name": target.get("name", ""),
    }


def _behind(endpoint: Object, port: Object, pods: dict[tuple[str, str], Object]) -> Labels:
    """The labels of the pod behind an endpoint and of its container with that port."""
    target = endpoint.get("targetRef", {})
    pod = pods.get((target.get("namespace", ""), target.get("name", ""))) if target.get("kind") == "Pod" else None
    if pod is None:
        return {}
    containers = [_container(each, its) for each, its in _ports(pod) if its["containerPort"] == port["port"]]
    return {**_pod(pod), **(containers[0] if containers else {})}


def _labelled(kind: str, metadata: Object) -> Labels:
    found: Labels = {}
    for key, value in metadata.get("labels", {}).items():
        name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        found |= {f"{kind}_label_{name}": value, f"{kind}_labelpresent_{name}": "true"}
    return found
