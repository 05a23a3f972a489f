"""Tests that each rule which the API server and Python both judge has one message on both sides."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.crd import schema
from sdbench.api.crd.rules import cel_rules
from sdbench.api.crd.rules_gate import PARTS, WHOLE
from sdbench.api.crd.rules_scheduling import ANNOTATIONS, LABELS, SCHEDULING
from sdbench.api.crd.structural import at
from sdbench.api.names import API_VERSION, KIND
from sdbench.api.rule import Rule
from sdbench.core.plan.grid import PlanRefused
from sdbench.core.plan.validate import accepted

ROOT = schema.root_schema()
RULES = (*cel_rules(ROOT), *PARTS, *WHOLE, *SCHEDULING, *LABELS, *ANNOTATIONS)
STAGE = {"images": 1, "imageSize": 512}
OTHER_SIZE = {"images": 1, "imageSize": 256}

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("write each count once", {"devices": {"counts": [1, 1]}}),
    ("a count above perPod must", {"devices": {"counts": [3], "perPod": 2}}),
    ("leave it out where it is unknown", {"devices": {"counts": [1], "peakTeraflops": "0"}}),
    ("must be at least min", {"repeats": {"min": 3, "max": 2}}),
    ("set it when max is above min", {"repeats": {"min": 1, "max": 2}}),
    ("must be above 0, as in 0.02", {"repeats": {"max": 2, "targetCoefficientOfVariation": "0"}}),
    ("set devices.hourlyPrice", {"limits": {"cost": "1"}}),
    ("set devices.hourlyPrice", {"gate": {"maxCost": "1"}}),
    ("set remote or claim", {"data": {"remote": "s3://bucket/shards", "claim": "shards"}}),
    ("set images or stages", {"projection": {"images": 1, "stages": [STAGE]}}),
    ("set benchmark or rateRatio", {"projection": {"stages": [STAGE | {"benchmark": "a", "rateRatio": "1"}]}}),
    ("rateRatio must be above 0", {"projection": {"stages": [STAGE | {"rateRatio": "0"}]}}),
    ("a stage at another size", {"projection": {"stages": [STAGE, OTHER_SIZE]}}),
    ("a stage at another size", {"projection": {"stages": [STAGE]}, "sweep": {"imageSize": [256, 512]}}),
    ("name another benchmark", {"projection": {"stages": [STAGE | {"benchmark": "tiny"}]}}),
    ("write at least one limit", {"gate": {"devices": [1]}}),
    ("every count must be in devices.counts", {"gate": {"devices": [3], "maxDays": "1"}}),
    ("must be at least 0 and at most 1", {"gate": {"maxDataWaitRatio": "1.01"}}),
    ("must be at least 0 and at most 1", {"gate": {"minMfu": "40"}}),
    ("must be below 1", {"gate": {"baseline": {"name": "a", "maxRegression": "1"}}}),
    ("name another benchmark", {"gate": {"baseline": {"name": "tiny"}}}),
    ("name a key, or set operator", {"scheduling": {"tolerations": [{}]}}),
    ("value goes with", {"scheduling": {"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}}),
    ("tolerationSeconds goes with", {"scheduling": {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}}),
    ("name the node label", {"scheduling": {"topologyMode": "Spread"}}),
    ("all pods on one node", {"scheduling": {"onePodPerNode": True, "topologyKey": "kubernetes.io/hostname"}}),
    ("the domain of a key is reserved", {"podLabels": {"sdbench.dev/trial": "0"}}),
    ("the domain of a key is reserved", {"podAnnotations": {"kubernetes.io/x": "y"}}),
    ("the key of an annotation needs a domain", {"podAnnotations": {"team": "vision"}}),
    ("must be at least 0 and below 1", {"trainer": {"ema": {"smoothing": "1"}}}),
    ("must be at least 0 and at most 1", {"trainer": {"captionDropout": "1.1"}}),
    ("must be at least 0 and at most 1", {"trainer": {"window": {"maxForeignCpuRatio": "1.1"}}}),
]


def document(**changes: Any) -> dict[str, Any]:
    """A question on CPU processes; `trainer` is merged, other changes replace."""
    trainer = {"precision": "fp32", "globalBatchSize": 8, "deviceMicrobatchSize": 2} | changes.pop("trainer", {})
    spec = {"devices": {"counts": [1, 2]}, "trainer": trainer} | changes
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "tiny"}, "spec": spec}


def rules_with(words: str) -> list[Rule]:
    return [rule for rule in RULES if words in rule.message]


def messages_at(rule: Rule) -> Iterator[tuple[str, str]]:
    """(message, blamed field) of each CEL rule of the CRD where the rule sits."""
    for entry in at(ROOT, rule.at)["x-kubernetes-validations"]:
        yield entry["message"], entry.get("fieldPath", "").removeprefix(".")


@pytest.mark.parametrize(("words", "changes"), BROKEN, ids=[f"{words}: {changes}"[:90] for words, changes in BROKEN])
def test_python_refuses_with_the_message_of_the_api_server(words: str, changes: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, PlanRefused)) as refusal:
        accepted(Benchmark.model_validate(document(**changes)))
    assert any(rule.message in str(refusal.value) for rule in rules_with(words))
    for rule in rules_with(words):
        assert (rule.message, rule.field) in messages_at(rule)


def test_the_question_of_this_table_is_accepted_without_a_change() -> None:
    assert accepted(Benchmark.model_validate(document()))


def test_every_rule_that_python_checks_is_in_the_table() -> None:
    checked = [rule for rule in RULES if rule.check is not None and rule.path != "metadata.name"]
    assert [rule.message for rule in checked if not any(words in rule.message for words, _ in BROKEN)] == []


@pytest.mark.parametrize("name", ["a" * 37, "Tiny", "-a", "a-", "a.b", "ä"])
def test_a_name_that_the_api_server_refuses_breaks_a_rule_in_python(name: str) -> None:
    assert any(rule.is_broken(name) for rule in RULES if rule.path == "metadata.name")


def test_a_name_of_letters_digits_and_dashes_breaks_no_rule() -> None:
    assert not any(rule.is_broken("tiny-2") for rule in RULES if rule.path == "metadata.name")
