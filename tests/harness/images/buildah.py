"""Builds images with buildah in a container storage of our own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from harness.cache import cache_folder
from harness.failure import HarnessError, last_lines

CERTIFICATES = Path("/etc/ssl/certs")
PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Settings of this machine's network that a build needs too. They are build arguments: the image does not keep them."""


PRIVATE_MOUNTS = ("unshare", "--mount", "--")
"""A container storage mounts its own folder on itself and leaves it so; here the mount goes with the command."""


def storage(*program: str) -> list[str]:
    """The start of a buildah command on our storage."""
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
    """How skopeo names an image in our storage."""
    folder = cache_folder("containers")
    return f"containers-storage:[overlay@{folder / 'storage'}+{folder / 'run'}]{reference}"


def buildah(*arguments: str | Path) -> str:
    """The standard output of a buildah command; a failure raises with the end of its output."""
    return succeeded([*storage("buildah"), *arguments])


def succeeded(command: list[str | Path] | list[str]) -> str:
    run = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        shown = " ".join(str(part) for part in command[:12])
        raise HarnessError(f"`{shown} …` failed:\n{last_lines(run.stdout + run.stderr)}")
    return run.stdout


def present(reference: str) -> bool:
    """Whether our storage has the image."""
    command = [*storage("buildah"), "inspect", "--type", "image", reference]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def configuration(reference: str) -> dict[str, Any]:
    """What an image of our storage tells about itself: its user, environment, entrypoint, labels."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", reference))["OCIv1"]["config"]
    return found


def built(dockerfile: Path, context: Path, reference: str, base: str) -> None:
    """Build `dockerfile` over `base` and tag it; layers whose inputs did not change are taken from the storage."""
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
    """All names in our storage that belong to a repository."""
    return tuple(
        name
        for name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
        if name.startswith(f"{repository}:")
    )
