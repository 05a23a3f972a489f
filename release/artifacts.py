"""Packs the chart, and writes the bills of materials and the checksums of a release."""

import hashlib
import json
import subprocess
from pathlib import Path

from harness.tools import binary
from release.version import CHART, ReleaseError
from sbom import VERSIONS, bill_of_materials

CHECKSUMS = "SHA256SUMS"


def package_chart(into: Path) -> None:
    """Packs the chart with the harness's helm, which Go builds if it is not in the cache."""
    command = [str(binary("helm")), "package", str(CHART), "--destination", str(into)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise ReleaseError(f"helm package failed: {(run.stdout + run.stderr).strip()}")


def write_bills(into: Path) -> None:
    """Writes each image's bill of materials as CycloneDX."""
    for image, version in VERSIONS.items():
        (into / f"sdbench-{image}-{version}.cdx.json").write_text(json.dumps(bill_of_materials(image), indent=1) + "\n")


def write_checksums(folder: Path) -> None:
    """Writes the digest of each file in the folder, as `sha256sum --check` reads them."""
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{_digest(path)}  {path.name}\n" for path in files))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
