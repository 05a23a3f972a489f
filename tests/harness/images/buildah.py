"""Builds images with buildah in a container storage of our own."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.cache import cache_folder
from harness.failure import HarnessError, last_lines

CERTIFICATES = Path("/etc/ssl/certs")
PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Network settings of this machine that a build needs. As build arguments they do not stay in the image."""


PRIVATE_MOUNTS = ("unshare", "--mount", "--")
"""buildah leaves a bind mount of its storage folder behind; in a mount namespace it ends with the command."""


def storage(*program: str) -> list[str]:
    """The start of a command line on our storage."""
    folder = cache_folder("containers")
    return [
        *PRIVATE_MOUNTS,
        *program,
        "--root",
        str(folder / "storage"),
        "--runroot",
        str(folder / "run"),
        "--storage-driver",
        "overlay",
    ]


def storage_name(reference: str) -> str:
    """The name by which skopeo finds an image in our storage."""
    folder = cache_folder("containers")
    return f"containers-storage:[overlay@{folder / 'storage'}+{folder / 'run'}]{reference}"


def buildah(*arguments: str | Path) -> str:
    """The standard output of a buildah command; raises HarnessError with the end of its output if it fails."""
    return run_checked([*storage("buildah"), *arguments])


def run_checked(command: list[str | Path] | list[str]) -> str:
    run = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        shown = " ".join(str(part) for part in command[:12])
        raise HarnessError(f"`{shown} …` failed:\n{last_lines(run.stdout + run.stderr)}")
    return run.stdout


def image_exists(reference: str) -> bool:
    """Whether our storage has the image."""
    command = [*storage("buildah"), "inspect", "--type", "image", reference]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def configuration(reference: str) -> dict[str, Any]:
    """The OCI configuration of an image in our storage: its user, environment, entrypoint and labels."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", reference))["OCIv1"]["config"]
    return found


def build_image(dockerfile: Path, context: Path, reference: str, base: str, labels: Iterable[str] = ()) -> None:
    """Builds `dockerfile` on `base` and tags it; layers whose inputs did not change come from the storage.

    `labels` are given as NAME=VALUE.
    """
    ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    buildah(
        "bud",
        "--layers",
        "--runtime=runc",  # crun refuses hosts that mount both cgroup versions
        "--network=host",
        "--pull=false",
        f"--ignorefile={ignored}",
        f"--build-arg=BASE_IMAGE={base}",
        *_network_settings(),
        *(f"--label={label}" for label in labels),
        f"--file={dockerfile}",
        f"--tag={reference}",
        context,
    )


def _network_settings() -> list[str]:
    names = [name for name in PASSED_ON if os.environ.get(name)]
    arguments = [f"--build-arg={name}={os.environ[name]}" for name in names]
    if any("CERT" in name for name in names) and CERTIFICATES.is_dir():
        arguments.append(f"--volume={CERTIFICATES}:{CERTIFICATES}:ro")
    return arguments


def storage_tags(repository: str) -> tuple[str, ...]:
    """All references in our storage that belong to a repository."""
    return tuple(
        name
        for name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
        if name.startswith(f"{repository}:")
    )
