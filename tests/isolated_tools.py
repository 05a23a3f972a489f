"""Runs programs whose packages must not mix with ours, each group in a cached environment of its own.

`python tests/isolated_tools.py checks hadolint FILE` runs one of them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.cache import cache_folder, lock, say

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"


def program(group: str, name: str) -> Path:
    """The path of a program from requirements/<group>.txt, installed if these versions are not in the cache."""
    pinned = REQUIREMENTS / f"{group}.txt"
    version = hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]
    folder = cache_folder("environments") / f"{group}-{version}"
    with lock(f"environment-{group}", f"another process is installing requirements/{group}.txt"):
        if not (folder / "ready").exists():
            say(f"installing requirements/{group}.txt, in an environment of its own (seconds)")
            _install(pinned, folder)
            (folder / "ready").touch()
    return folder / "bin" / name


def _install(pinned: Path, folder: Path) -> None:
    """Creates an environment at `folder` with these packages, and deletes those of other versions of the file."""
    for old in folder.parent.glob(f"{pinned.stem}-*"):
        shutil.rmtree(old)
    uv = Path(sys.executable).parent / "uv"
    trusting = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], env=trusting, check=True)
    install = (uv, "pip", "sync", "--quiet", "--python", folder / "bin" / "python", "--require-hashes", pinned)
    subprocess.run(install, env=trusting, check=True)


if __name__ == "__main__":
    group, name, *arguments = sys.argv[1:]
    path = program(group, name)
    os.execv(path, [str(path), *arguments])
