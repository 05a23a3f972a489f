"""Tests that Dockerfiles, the rendered chart and training pods pass the scanner, but for listed exceptions."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.support.value_sets import VALUE_SETS
from scan.scanning import Finding, Scan, scan, training_pods

EXCEPTIONS: list[dict[str, str]] = yaml.safe_load(Path(__file__).with_name("exceptions.yaml").read_text())


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return scan(tmp_path_factory.mktemp("scanned"))


def excepted(finding: Finding, exception: dict[str, str]) -> bool:
    return finding.check == exception["check"] and re.fullmatch(exception["where"], finding.where) is not None


def planted(finding: Finding) -> bool:
    return finding.where.startswith("Pod.planted.")


def test_every_broken_rule_is_a_listed_exception(scanned: Scan) -> None:
    found = [one for one in scanned.broken if not planted(one)]
    left = sorted(map(str, (one for one in found if not any(excepted(one, exception) for exception in EXCEPTIONS))))
    assert not left, "\n".join(left)


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda exception: exception["check"])
def test_a_listed_exception_is_needed_and_has_a_reason(scanned: Scan, exception: dict[str, Any]) -> None:
    assert any(excepted(one, exception) for one in scanned.broken), "remove the exception: nothing breaks this rule"
    assert exception["why"].endswith(".")


def test_the_planted_privileged_pod_is_found(scanned: Scan) -> None:
    assert {"CKV_K8S_16", "CKV_K8S_20", "CKV_K8S_22"} <= {one.check for one in scanned.broken if planted(one)}


def test_every_input_is_scanned(scanned: Scan) -> None:
    seen = {one.where for one in scanned.kept}
    deployments = [where for where in seen if where.startswith("Deployment.")]
    assert len(deployments) == len(VALUE_SETS)
    assert {f"Pod.training.{pod['metadata']['name']}" for pod in training_pods()} <= seen
    assert {where.split(".")[0] for where in seen if where.startswith("/docker/")} == {
        "/docker/operator",
        "/docker/trainer",
    }
