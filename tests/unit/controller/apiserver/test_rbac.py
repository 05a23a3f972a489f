"""Tests that the rights of the chart are those of the operator's requests."""

from pathlib import Path

from sdbench.controller.apiserver import rbac, requests

ROOT = Path(__file__).resolve().parents[4]


def test_the_rules_in_the_chart_are_up_to_date() -> None:
    assert (ROOT / "charts/sdbench/files/rules.yaml").read_text() == rbac.rbac_yaml(), "run make generate"


def test_no_right_on_secrets_and_no_wildcard_is_requested() -> None:
    asked = rbac.rbac_rules(rbac.rights())
    assert not any("secrets" in rule["resources"] or "*" in str(rule) for rule in asked)
    assert all("patch" not in rule["verbs"] for rule in asked)


def test_every_call_is_in_the_table_of_rights() -> None:
    defined = {value for value in vars(requests).values() if isinstance(value, requests.Call)}
    assert defined == set(requests.CALLS)
