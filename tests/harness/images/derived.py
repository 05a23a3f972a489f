"""Derives a faulty trainer image that differs from the real one in a single file."""

from pathlib import Path

from harness.images.buildah import build_image
from harness.images.catalog import ROOT, TRAINER, planned_build
from harness.images.transfer import import_image
from harness.node.containers import Containerd
from harness.runs import scratch

PACKAGE = "/opt/sdbench/sdbench_trainer"
MODEL_MODULE = "model/stable_diffusion.py"
"""The module to append to if a rank shall do something in its forward pass."""


def trainer_with(containers: Containerd, name: str, module: str, ending: str) -> str:
    """The reference of a trainer image whose file `module` has the Python lines `ending` appended."""
    reference = f"sdbench.local/{name}:1"
    with planned_build(TRAINER) as build, scratch("derived") as context:
        original = ROOT / "trainer" / "src" / "sdbench_trainer" / module
        (context / module).parent.mkdir(parents=True, exist_ok=True)
        (context / module).write_text(f"{original.read_text()}\n\n{ending}\n")
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nCOPY {module} {PACKAGE}/{module}\n")
        Path(f"{dockerfile}.dockerignore").touch()
        build_image(dockerfile, context, f"localhost/{name}:1", build.make())
        import_image(containers, f"localhost/{name}:1", reference)
    return reference
