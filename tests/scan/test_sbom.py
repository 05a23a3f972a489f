"""Tests that the bill of materials lists an image's packages with versions and hashes."""

import re

import pytest

from sbom import ROOT, VERSIONS, bill_of_materials


@pytest.mark.parametrize(("image", "package"), [("operator", "kopf"), ("trainer", "torch")])
def test_a_bill_lists_every_pinned_package_with_its_version_and_hashes(image: str, package: str) -> None:
    made = bill_of_materials(image)
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements" / f"{image}.txt").read_text(), re.MULTILINE)
    listed = {part["name"]: part for part in made["components"]}
    assert {name: part["version"] for name, part in listed.items()} == dict(pinned)
    assert listed[package]["purl"] == f"pkg:pypi/{package}@{dict(pinned)[package]}"
    assert all(source["hashes"] for part in listed.values() for source in part["externalReferences"])
    assert made["bomFormat"] == "CycloneDX"
    assert made["metadata"]["component"]["version"] == VERSIONS[image]
