"""Lists each image's Python packages as a CycloneDX bill of materials in build/sbom."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import sdbench
import sdbench_trainer
from isolated_tools import program

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = {"operator": sdbench.__version__, "trainer": sdbench_trainer.__version__}
"""The images and the version of the code in each."""


def bill_of_materials(image: str) -> dict[str, Any]:
    """The bill of materials of an image, from exactly the hashed requirements that its Dockerfile installs."""
    options = ("--output-reproducible", "--output-format", "JSON", "--pyproject", f"{image}/pyproject.toml")
    command = [str(program("sbom", "cyclonedx-py")), "requirements", *options, f"requirements/{image}.txt"]
    # It warns that our distribution has no dependencies in the bill, which is intended: all belong to the image.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    made: dict[str, Any] = json.loads(run.stdout)
    made["metadata"]["component"]["version"] = VERSIONS[image]
    return made


def main() -> None:
    folder = ROOT / "build" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for image in VERSIONS:
        path = folder / f"sdbench-{image}.cdx.json"
        path.write_text(json.dumps(bill_of_materials(image), indent=1))
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
