"""Tests that each alert fires when it must, and only then: promtool evaluates the rendered rules."""

import re
from pathlib import Path

import pytest

from chart.support.alert_cases import (
    BASELINE,
    BUILD,
    ERRORS,
    FIRING,
    IMAGES,
    LISTED,
    MEDIAN,
    MINUTES,
    NEVER,
    POINT_WAIT,
    SILENT,
    SKEW,
    STATE,
    WAIT,
    WAITING,
    Firing,
    Silent,
    failed_trials,
    verdict,
)
from chart.support.promtool import run_rule_tests
from chart.support.rendering import Helm
from chart.support.rules import groups


@pytest.mark.parametrize("case", FIRING, ids=lambda case: f"{case.alert}, {case.situation}")
def test_an_alert_fires_in_time_with_its_labels_and_texts(helm: Helm, tmp_path: Path, case: Firing) -> None:
    rules = groups(helm)
    rule = next(one for group in rules for one in group["rules"] if one.get("alert") == case.alert)
    expected = {
        "exp_labels": {**dict(re.findall(r'(\w+)="([^"]*)"', case.labels)), **rule["labels"]},
        "exp_annotations": {
            "summary": case.summary,
            "description": case.description,
            "runbook_url": rule["annotations"]["runbook_url"],
        },
    }
    tests = [
        {"eval_time": case.pending, "alertname": case.alert, "exp_alerts": []},
        {"eval_time": case.firing, "alertname": case.alert, "exp_alerts": [expected]},
    ]
    run_rule_tests(tmp_path, rules, case.series, {"alert_rule_test": tests})


@pytest.mark.parametrize("case", SILENT, ids=lambda case: f"{case.alert}, {case.situation}")
def test_an_alert_stays_silent(helm: Helm, tmp_path: Path, case: Silent) -> None:
    tests = [{"eval_time": time, "alertname": case.alert, "exp_alerts": []} for time in case.times]
    run_rule_tests(tmp_path, groups(helm), case.series, {"alert_rule_test": tests})


def test_each_alert_has_firing_and_silent_cases(helm: Helm) -> None:
    alerts = {rule["alert"] for group in groups(helm) for rule in group["rules"] if "alert" in rule}
    assert {case.alert for case in FIRING} == {case.alert for case in SILENT} == alerts


def test_a_healthy_run_fires_no_alert(helm: Helm, tmp_path: Path) -> None:
    healthy = {
        BUILD: "1x90",
        LISTED: "0+15x90",
        ERRORS: "0x90",
        IMAGES: "0+120x90",
        STATE: "0x8 1x80",
        WAIT: "0+0.3x90",
        WAITING: "0x8 stale",
        MEDIAN: "8x90",
        BASELINE: "8.1x90",
        POINT_WAIT: "0.02x90",
        SKEW: "1.05x90",
        failed_trials("Crashed"): "1x90",
        verdict("Pass"): "1x90",
        verdict("Fail"): "0x90",
    }
    tests = [{"expr": "ALERTS", "eval_time": time, "exp_samples": []} for time in MINUTES]
    run_rule_tests(tmp_path, groups(helm), healthy, {"promql_expr_test": tests})


RESTARTED = f"0x40 stale _x4 {NEVER}x80"
"""It lists once, then not for ten minutes; the kubelet restarts it in one; and it still does not list."""


def test_a_restart_of_a_deaf_operator_does_not_end_its_alert(helm: Helm, tmp_path: Path) -> None:
    listing = {LISTED: f"{RESTARTED} {127 * 15}+15x40"}
    firing = [f"{seconds}s" for seconds in range(315, 127 * 15, 15)]
    silent = [f"{seconds}s" for seconds in (0, 300, 127 * 15, 130 * 15, 150 * 15)]
    count = 'count(ALERTS{alertname="SdbenchOperatorDeaf",alertstate="firing"})'
    tests = [{"expr": count, "eval_time": time, "exp_samples": [{"labels": "{}", "value": 1}]} for time in firing]
    tests += [{"expr": count, "eval_time": time, "exp_samples": []} for time in silent]
    run_rule_tests(tmp_path, groups(helm), listing, {"promql_expr_test": tests})
