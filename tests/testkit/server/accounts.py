"""Creates ServiceAccounts with exactly the rights that the chart grants to the operator."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from chart.support.rendering import Helm, of_kind
from harness.control_plane.components import ControlPlane
from harness.tools import binary
from sdbench.controller.apiserver.requests import Right

Manifest = dict[str, Any]

ACCOUNT = "sdbench"
KINDS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def account(plane: ControlPlane, namespace: str, everywhere: bool = False, without: Right | None = None) -> Path:
    """A kubeconfig of the chart's ServiceAccount, installed in the namespace; `without` removes one right."""
    objects = rendered(namespace, everywhere)
    if without is not None:
        objects = tuple(weakened(one, without) for one in objects)
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(whole))
    return plane.service_account_kubeconfig(namespace, ACCOUNT)


@cache
def rendered(namespace: str, everywhere: bool) -> tuple[Manifest, ...]:
    """The account and its rights as Helm renders them, without the roles for users, which have no binding."""
    values = {"watchNamespaces": [] if everywhere else [namespace]}
    objects = of_kind(Helm(binary("helm")).render(values, "--namespace", namespace, "--no-hooks"), *KINDS)
    bound = {one["roleRef"]["name"] for one in objects if "roleRef" in one}
    return tuple(one for one in objects if "rules" not in one or one["metadata"]["name"] in bound)


def rules(namespace: str, everywhere: bool = False) -> tuple[Right, ...]:
    """Every single right of the rendered roles."""
    granted = [rule for one in rendered(namespace, everywhere) for rule in one.get("rules", ())]
    return tuple(
        Right(group, resource, verb)
        for rule in granted
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def weakened(manifest: Manifest, without: Right) -> Manifest:
    """The role without this one right."""
    rules = [_weakened(rule, without) for rule in manifest.get("rules", ())]
    return manifest | {"rules": [rule for rule in rules if rule["verbs"]]} if rules else manifest


def _weakened(rule: Manifest, without: Right) -> Manifest:
    if (rule["apiGroups"], rule["resources"]) != ([without.group], [without.resource]):
        return rule
    return rule | {"verbs": [verb for verb in rule["verbs"] if verb != without.verb]}
