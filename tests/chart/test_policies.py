"""Tests that each namespace gets its bounds, and that a policy without a bound is refused."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from chart.support.admission import BINDING, POLICY, SERVED, rendered
from chart.support.rendering import CHART, Helm, Manifest, of_kind, the

PAGE = CHART.parents[1] / "docs/policies.md"
EVERYWHERE = {"images": ["ghcr.io/sdbench/trainer", "registry.example:5000/team/"], "maxDevices": 8, "deviceHours": "5"}
TEAM = {"maxDevices": 1_000_000, "deviceHours": "50.5"}
NO_BOUND: dict[str, Any] = {"images": [], "maxDevices": 0, "deviceHours": "0.00"}


def bounds(objects: tuple[Manifest, ...]) -> dict[str, tuple[dict[str, Any], Any]]:
    """For each bound, the namespaces with a value of their own, and the default."""
    variables = {one["name"]: one["expression"] for one in the(objects, POLICY)["spec"]["variables"]}
    found = {}
    for name in EVERYWHERE:
        parts = re.fullmatch(r"(.*)\[\?object[.]metadata[.]namespace\][.]orValue\((.*)\)", variables[name])
        assert parts is not None, variables[name]
        found[name] = json.loads(parts[1]), json.loads(parts[2])
    return found


def test_where_all_are_alike_the_default_holds(helm: Helm) -> None:
    assert bounds(rendered(helm, {"default": EVERYWHERE})) == {name: ({}, bound) for name, bound in EVERYWHERE.items()}


def test_the_bounds_of_a_namespace_replace_the_default_as_a_whole(helm: Helm) -> None:
    objects = rendered(helm, {"default": EVERYWHERE, "namespaces": {"team-a": TEAM, "free": {}}})
    assert bounds(objects) == {
        "images": ({"team-a": [], "free": []}, EVERYWHERE["images"]),
        "maxDevices": ({"team-a": 1_000_000, "free": 0}, 8),
        "deviceHours": ({"team-a": "50.5", "free": "0"}, "5"),
    }


def test_without_a_default_only_the_listed_namespaces_are_bounded(helm: Helm) -> None:
    objects = rendered(helm, {"default": NO_BOUND, "namespaces": {"team-a": {"images": ["trainer"]}}})
    assert bounds(objects)["images"] == ({"team-a": ["trainer"]}, [])
    assert bounds(objects)["maxDevices"] == ({"team-a": 0}, 0)


def test_a_large_number_of_devices_stays_a_whole_number(helm: Helm) -> None:
    text = json.dumps(rendered(helm, {"default": TEAM, "namespaces": {"team-a": TEAM}}))
    assert text.count("1000000") == 2


@pytest.mark.parametrize(("watched", "expected"), [((), None), (("team-a", "team-b"), ["team-a", "team-b"])])
def test_a_release_judges_in_the_namespaces_that_it_watches(
    helm: Helm, watched: tuple[str, ...], expected: list[str] | None
) -> None:
    spec = the(rendered(helm, {"default": EVERYWHERE, "namespaces": {"team-a": TEAM}}, watched), BINDING)["spec"]
    if expected is None:
        assert "matchResources" not in spec
    else:
        (only,) = spec["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert only == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": expected}


def test_what_cannot_be_judged_is_refused_and_no_object_can_be_missing(helm: Helm) -> None:
    objects = rendered(helm, {"default": EVERYWHERE})
    policy, binding = the(objects, POLICY), the(objects, BINDING)
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert "paramKind" not in policy["spec"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]


def test_two_releases_do_not_share_their_policies(helm: Helm) -> None:
    mine = rendered(helm, {"default": EVERYWHERE})
    theirs = rendered(helm, {"default": EVERYWHERE}, (), "--namespace", "elsewhere")
    assert the(mine, POLICY)["metadata"]["name"] != the(theirs, POLICY)["metadata"]["name"]
    assert the(mine, BINDING)["metadata"]["name"] != the(theirs, BINDING)["metadata"]["name"]


def test_the_example_of_the_page_is_taken(helm: Helm) -> None:
    (text,) = re.findall(r"```yaml\n(policies:.*?)```", PAGE.read_text(), re.DOTALL)
    example = yaml.safe_load(text)["policies"]
    found = bounds(rendered(helm, example))
    assert found["maxDevices"] == ({"team-a": 64, "sandbox": 0}, 8)


def test_nothing_is_judged_unless_it_is_asked_for(helm: Helm) -> None:
    assert not of_kind(helm.render({"policies": {"default": EVERYWHERE}}, *SERVED), POLICY, BINDING)


def no_repository(entry: str) -> tuple[dict[str, Any], str]:
    return {"policies": {"default": {"images": [entry]}}}, f"policies.default.images: {entry} is not a repository"


REFUSED = [
    ({"policies": {}}, "policies.enabled: nothing is bounded: set images, maxDevices or deviceHours"),
    ({"policies": {"default": NO_BOUND, "namespaces": {"team-a": {}}}}, "nothing is bounded"),
    (
        {"policies": {"default": EVERYWHERE, "namespaces": {"team-a": TEAM}}, "watchNamespaces": ["team-b"]},
        "policies.namespaces.team-a: this release does not watch it",
    ),
    *map(no_repository, ("ghcr.io/sdbench/trainer:1", "trainer:1", "ghcr.io/sdbench/*", "ghcr.io//trainer")),
    (
        {"policies": {"namespaces": {"team-a": {"images": ["x:1"]}}}},
        "policies.namespaces.team-a.images: x:1 is not a repository",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_a_policy_that_cannot_be_meant_fails_the_render_with_a_sentence(
    helm: Helm, values: dict[str, Any], sentence: str
) -> None:
    asked = values | {"policies": values["policies"] | {"enabled": True}}
    done = helm.template(asked, *SERVED)
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize("entry", ["trainer", "ghcr.io/", "registry.example:5000/a_b/c.d-e", "localhost:5000/x/"])
def test_a_repository_or_all_below_a_prefix_can_be_allowed(helm: Helm, entry: str) -> None:
    assert bounds(rendered(helm, {"default": {"images": [entry]}}))["images"] == ({}, [entry])


def test_a_cluster_without_admission_policies_is_refused(helm: Helm) -> None:
    refusal = replace(helm, served=()).refusal({"policies": {"enabled": True, "default": EVERYWHERE}})
    assert f"policies.enabled: this cluster serves no admissionregistration.k8s.io/v1/{POLICY}" in refusal
