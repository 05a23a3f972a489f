"""Tests that the annotations of Chart.yaml match the chart and have values that Artifact Hub accepts."""

from typing import Any

import pytest
import yaml

from chart.support.rendering import Helm, chart_file, pod_spec, the
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import API_VERSION, KIND, VERSION
from sdbench.core.plan.validate import accepted

CHART: dict[str, Any] = yaml.safe_load(chart_file("Chart.yaml"))


def annotation(name: str) -> Any:
    """An annotation's content."""
    return yaml.safe_load(CHART["annotations"][f"artifacthub.io/{name}"])


def test_every_annotation_is_text() -> None:
    assert all(isinstance(value, str) for value in CHART["annotations"].values())


def test_the_crd_is_the_projects(helm: Helm) -> None:
    (crd,) = annotation("crds")
    assert (crd["kind"], crd["version"]) == (KIND, VERSION)
    assert crd["name"] == the(helm.render(), "CustomResourceDefinition")["metadata"]["name"]
    assert crd["displayName"]
    assert crd["description"].endswith(".")


def test_the_example_is_accepted() -> None:
    (example,) = annotation("crdsExamples")
    assert (example["apiVersion"], example["kind"]) == (API_VERSION, KIND)
    assert len(accepted(Benchmark.model_validate(example))) == 2


def test_the_images_are_those_of_the_deployment(helm: Helm) -> None:
    (container,) = pod_spec(helm.render())["containers"]
    assert {one["name"]: one["image"] for one in annotation("images")} == {
        "operator": container["image"],
        "trainer": container["args"][2],
    }


def test_capabilities_changes_and_links_have_known_values() -> None:
    levels = ("Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot")
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert annotation("operatorCapabilities") in levels
    assert {change["kind"] for change in annotation("changes")} <= kinds
    assert all(set(link) == {"name", "url"} and link["url"].startswith("https://") for link in annotation("links"))


@pytest.mark.parametrize("name", ["license", "operator", "prerelease", "category"])
def test_the_descriptive_annotations_are_present(name: str) -> None:
    assert CHART["annotations"][f"artifacthub.io/{name}"]
