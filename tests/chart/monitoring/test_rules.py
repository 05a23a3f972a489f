"""Tests that the rules come only where they can be used, use served series, and link to the runbook."""

import re
from pathlib import Path

import pytest

from chart.support.promtool import checked_rules, run_rule_tests
from chart.support.rendering import Helm, of_kind
from chart.support.rules import (
    API,
    annotation_labels,
    groups,
    labels_asked,
    labels_of_served,
    names,
    prometheus_rule,
    rules,
)

RUNBOOK = (Path(__file__).resolve().parents[3] / "docs" / "alerts.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, flags=re.M | re.S))
BASE = "https://wiki.example/runbooks/sdbench"
ALERTS = (
    *("SdbenchOperatorDown", "SdbenchOperatorDeaf", "SdbenchReconcileErrors", "SdbenchTrialStalled"),
    *("SdbenchPendingTooLong", "SdbenchThroughputBelowBaseline", "SdbenchDataStarved", "SdbenchRankSkew"),
    *("SdbenchResultLost", "SdbenchGateFailed"),
)
RECORDED = (
    "namespace_benchmark_trial:sdbench_images:rate1m",
    "namespace_benchmark_trial:sdbench_data_wait:ratio_rate1m",
    "namespace_benchmark_trial:sdbench_step_duration_seconds:p50_rate1m",
    "namespace_benchmark_trial:sdbench_step_duration_seconds:p95_rate1m",
    "namespace_benchmark_point:sdbench_baseline:ratio",
    "namespace:sdbench_devices:sum",
    "namespace:sdbench_spent_device_seconds:sum",
)

THRESHOLDS = (
    ("pendingSeconds", 61, "SdbenchPendingTooLong"),
    ("deafSeconds", 62, "SdbenchOperatorDeaf"),
    ("baselineRatio", 0.63, "SdbenchThroughputBelowBaseline"),
    ("dataWaitRatio", 0.64, "SdbenchDataStarved"),
    ("rankSkewRatio", 1.65, "SdbenchRankSkew"),
)


def test_the_rules_are_off_by_default(helm: Helm) -> None:
    assert not of_kind(helm.render({}, API), "PrometheusRule")


def test_a_cluster_without_prometheus_rules_is_refused(helm: Helm) -> None:
    asked = {"monitoring": {"prometheusRule": {"enabled": True}}}
    done = Helm(helm.program).run("template", "sdbench", str(helm.chart), values=asked)
    assert done.returncode != 0
    assert "monitoring.prometheusRule.enabled" in done.stderr
    assert "prometheus-operator" in done.stderr


def test_the_object_has_the_labels_by_which_prometheus_selects_it(helm: Helm) -> None:
    metadata = prometheus_rule(helm, labels={"release": "kube-prometheus-stack"})["metadata"]
    assert metadata["labels"]["release"] == "kube-prometheus-stack"
    assert metadata["labels"]["app.kubernetes.io/name"] == "sdbench"


def test_promtool_accepts_the_rules(helm: Helm, tmp_path: Path) -> None:
    assert f"{len(ALERTS) + len(RECORDED)} rules found" in checked_rules(tmp_path, groups(helm))


def test_the_rules_are_complete(helm: Helm) -> None:
    found = groups(helm)
    assert [group["name"] for group in found] == ["sdbench.rules", "sdbench.alerts"]
    assert tuple(rules(found, "record")) == RECORDED
    assert tuple(rules(found, "alert")) == ALERTS


@pytest.mark.parametrize("name", [*ALERTS, *RECORDED])
def test_a_rule_uses_served_series_and_labels(helm: Helm, name: str) -> None:
    found = groups(helm)
    recorded, served = rules(found, "record"), labels_of_served()
    rule = (recorded | rules(found, "alert"))[name]
    asked = names(rule["expr"])
    assert asked
    assert asked <= set(served) | set(recorded)
    expressions = [rule["expr"], *(recorded[one]["expr"] for one in asked if one in recorded)]
    known = {label for text in expressions for one in names(text) if one in served for label in served[one]}
    assert labels_asked(rule["expr"]) | annotation_labels(rule.get("annotations", {})) <= known


@pytest.mark.parametrize("name", RECORDED)
def test_the_name_of_a_recording_rule_begins_with_its_labels(helm: Helm, name: str) -> None:
    expression = rules(groups(helm), "record")[name]["expr"]
    level = set(name.split(":")[0].split("_"))
    outermost = re.findall(r"by \(([^)]*)\)", expression)[0].split(", ")
    assert set(outermost) - {"le", "devices", "cluster"} == level
    assert "cluster" in labels_asked(expression)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_severity_texts_and_a_runbook_link(helm: Helm, name: str) -> None:
    rule = rules(prometheus_rule(helm, runbookUrl=BASE)["spec"]["groups"], "alert")[name]
    annotations = rule["annotations"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == f"{BASE}#{name.lower()}", "GitHub's anchor of a heading is in lower case"


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    assert tuple(SECTIONS) == ALERTS
    for name, text in SECTIONS.items():
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, flags=re.M) == ["Means", "Look", "Do"], name
        assert re.search(r"```\nkubectl ", text), f"{name} names no command"


def test_the_runbook_lists_the_severities_and_default_thresholds(helm: Helm) -> None:
    found = groups(helm)
    rows = {row[0]: row for row in re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| .* \|(.*)\|$", RUNBOOK, flags=re.M)}
    assert tuple(rows) == ALERTS
    for name, rule in rules(found, "alert").items():
        _, anchor, severity, threshold = rows[name]
        assert (anchor, severity) == (name.lower(), rule["labels"]["severity"])
        placeholder = re.search(r", ([\d.]+) $", threshold)
        assert rule["expr"].endswith(f" {placeholder[1]}" if placeholder else rule["expr"]), name
        assert bool(placeholder) == (name in [alert for _, _, alert in THRESHOLDS])


@pytest.mark.parametrize(("threshold", "value", "alert"), THRESHOLDS)
def test_a_threshold_comes_from_the_values(helm: Helm, threshold: str, value: float, alert: str) -> None:
    expressions = {name: rule["expr"] for name, rule in rules(groups(helm, **{threshold: value}), "alert").items()}
    assert [name for name, text in expressions.items() if re.search(rf"[<>] {value}\b", text)] == [alert]


def test_a_missing_threshold_is_refused(helm: Helm) -> None:
    asked = {"monitoring": {"prometheusRule": {"enabled": True, "thresholds": {"deafSeconds": None}}}}
    done = helm.template(asked, API)
    assert done.returncode != 0
    assert "deafSeconds" in done.stderr


TRIAL = 'namespace="team-a",benchmark="tiny",trial="1"'
POINT = 'namespace="team-a",benchmark="tiny",point="devices=1",devices="1"'
SCRAPED = {
    f'sdbench_images_total{{{TRIAL},pod="p"}}': "0+120x40",
    f'sdbench_data_wait_seconds_total{{{TRIAL},pod="p"}}': "0+1.5x40",
    **{
        f'sdbench_step_duration_seconds_bucket{{{TRIAL},pod="p",le="{le}"}}': f"0+{count}x40"
        for le, count in (("0.5", 3), ("1", 12), ("+Inf", 15))
    },
    f'sdbench_point_median_images_per_second{{{POINT},pod="o"}}': "9x40",
    f'sdbench_point_baseline_images_per_second{{{POINT},pod="o"}}': "10x40",
    'sdbench_benchmark_devices{namespace="team-a",benchmark="tiny",pod="o"}': "8x40",
    'sdbench_benchmark_devices{namespace="team-a",benchmark="other",pod="o"}': "4x40",
    'sdbench_benchmark_spent_device_seconds_total{namespace="team-a",benchmark="tiny",pod="o"}': "60x40",
    'sdbench_benchmark_spent_device_seconds_total{namespace="team-a",benchmark="other",pod="o"}': "30x40",
}
"""One Trial: 120 images, 1.5 s of waiting and 15 steps in each 15 s."""

NUMBERS = {
    RECORDED[0]: (TRIAL, 8),
    RECORDED[1]: (TRIAL, 0.1),
    RECORDED[2]: (TRIAL, 0.5 + 0.5 * (7.5 - 3) / 9),
    RECORDED[3]: (TRIAL, 1),
    RECORDED[4]: (POINT, 0.9),
    RECORDED[5]: ('namespace="team-a"', 12),
    RECORDED[6]: ('namespace="team-a"', 90),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_rule_has_the_right_value_and_labels(helm: Helm, tmp_path: Path, name: str) -> None:
    labels, number = NUMBERS[name]
    sample = {"labels": f"{name}{{{labels}}}", "value": number}
    tests = [{"expr": name, "eval_time": "9m", "exp_samples": [sample]}]
    run_rule_tests(tmp_path, groups(helm), SCRAPED, {"promql_expr_test": tests})


def test_a_recording_rule_keeps_clusters_separate(helm: Helm, tmp_path: Path) -> None:
    series = {f'sdbench_benchmark_devices{{cluster="{one}",namespace="n",benchmark="b"}}': "2x20" for one in "ab"}
    samples = [{"labels": f'{RECORDED[5]}{{cluster="{one}",namespace="n"}}', "value": 2} for one in "ab"]
    tests = [{"expr": RECORDED[5], "eval_time": "4m", "exp_samples": samples}]
    run_rule_tests(tmp_path, groups(helm), series, {"promql_expr_test": tests})


def test_a_minute_without_steps_has_no_step_time(helm: Helm, tmp_path: Path) -> None:
    still = {name: "7x40" for name in SCRAPED if "_bucket" in name}
    tests = [{"expr": name, "eval_time": "5m", "exp_samples": []} for name in RECORDED[2:4]]
    run_rule_tests(tmp_path, groups(helm), still, {"promql_expr_test": tests})
