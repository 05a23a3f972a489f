"""Streams into containerd only those layers of an image that it lacks.

So a 6 GB layer of dependencies is imported once; afterwards a change of code moves a few hundred kilobytes.
"""

import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cache import say
from harness.failure import HarnessError
from harness.images.archives import add
from harness.images.buildah import PRIVATE_MOUNTS, run_checked, storage_name
from harness.node.containers import Containerd
from harness.runs import scratch


def import_image(containers: Containerd, stored: str, reference: str) -> None:
    """Imports the image `stored` of our storage into containerd under the name `reference`."""
    say(f"importing {reference}")
    with scratch("layout") as layout:
        skipped = _placeholders(layout, containers.content(), _layers(stored))
        # Uncompressed: compressing six gigabytes takes minutes, and a layer's digest then equals its diff ID.
        flags = ("--quiet", "--dest-oci-accept-uncompressed-layers")
        run_checked([*PRIVATE_MOUNTS, "skopeo", "copy", *flags, storage_name(stored), f"oci:{layout}:image"])
        _stream(containers, layout, reference, skipped)


def _layers(stored: str) -> tuple[str, ...]:
    config = json.loads(run_checked([*PRIVATE_MOUNTS, "skopeo", "inspect", "--config", storage_name(stored)]))
    return tuple(config["rootfs"]["diff_ids"])


def _placeholders(layout: Path, content: Mapping[str, int], layers: tuple[str, ...]) -> frozenset[Path]:
    """Sparse files of the right name and size for layers that containerd has, so that skopeo does not copy these."""
    made = set()
    for digest in layers:
        if digest in content:
            path = layout / "blobs" / digest.replace(":", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(content[digest])
            made.add(path)
    return frozenset(made)


def _stream(containers: Containerd, layout: Path, reference: str, skipped: frozenset[Path]) -> None:
    command = containers.command("images", "import", "-")
    importing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert importing.stdin is not None
    assert importing.stdout is not None
    try:
        with importing.stdin, tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
            add(archive, "oci-layout", (layout / "oci-layout").read_bytes())
            add(archive, "index.json", _named(layout, reference))
            for path in sorted(set(layout.glob("blobs/*/*")) - skipped):
                archive.add(path, str(path.relative_to(layout)))
    except BrokenPipeError:
        pass  # the exit code and the output below say why
    output = importing.stdout.read()
    if importing.wait() != 0:
        raise HarnessError(f"importing {reference} failed: {output.decode(errors='replace').strip()}")


def _named(layout: Path, reference: str) -> bytes:
    """The layout's index, with the name under which containerd shall store the image."""
    index: dict[str, Any] = json.loads((layout / "index.json").read_text())
    (manifest,) = index["manifests"]
    manifest["annotations"] = {"io.containerd.image.name": reference}
    return json.dumps(index).encode()
