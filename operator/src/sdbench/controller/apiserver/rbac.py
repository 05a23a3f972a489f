"""Generates the operator's RBAC rules from its requests.

python -m sdbench.controller.apiserver.rbac      prints them as YAML
"""

import sys
from collections.abc import Iterable
from typing import Any

import yaml

from sdbench.controller.apiserver.requests import CALLS, OWNING, WATCHED, Right

HEADER = """\
# The operator's rights. Generated from operator/src/sdbench/controller/apiserver/requests.py by `make generate`;
# do not edit.
"""


def rights() -> tuple[Right, ...]:
    """Every right that the operator needs, once, in the order of the calls."""
    return tuple(dict.fromkeys((*(call.right for call in CALLS), *WATCHED, *OWNING)))


def rbac_rules(wanted: Iterable[Right]) -> list[dict[str, Any]]:
    """The rules of a Role for these rights: one rule for each resource, its verbs sorted."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for right in wanted:
        verbs.setdefault((right.group, right.resource), set()).add(right.verb)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(allowed)}
        for (group, resource), allowed in verbs.items()
    ]


def rbac_yaml() -> str:
    """The rules as YAML, as the chart holds them."""
    return HEADER + yaml.safe_dump({"rules": rbac_rules(rights())}, sort_keys=False)


if __name__ == "__main__":
    sys.stdout.write(rbac_yaml())
