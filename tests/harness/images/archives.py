"""Turns a program into an image without a Dockerfile: an OCI archive with one layer and one config."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_archive(path: Path, reference: str, files: Mapping[str, Path], entrypoint: list[str]) -> None:
    """Writes an OCI archive of `files` (path in the image → local file), all executable, and an empty /tmp."""
    layer = _layer(files)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = [layer, _json(config)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _described(CONFIG, blobs[1]),
        "layers": [_described(LAYER, layer)],
    }
    blobs.append(_json(manifest))
    annotations = {"io.containerd.image.name": reference}
    described = {**_described(MANIFEST, blobs[2]), "annotations": annotations}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}
    with tarfile.open(path, "w") as archive:
        add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        add(archive, "index.json", _json(index))
        for blob in blobs:
            add(archive, f"blobs/{_digest(blob).replace(':', '/')}", blob)


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(folder)
        for name, source in files.items():
            add(layer, name.lstrip("/"), source.read_bytes(), mode=0o755)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def _described(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
