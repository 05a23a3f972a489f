"""Lists an image's contents: it runs as a program inside a container and prints JSON.

It reads rights from modes and owners instead of trying them out, which is not possible on a read-only root.
"""

import contextlib
import getpass
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLERS = ("pip", "ensurepip", "uv", "conda")
COMPILERS = ("gcc", "cc", "g++", "c++", "clang", "ld", "as", "make", "go", "rustc", "nvcc")
LEFTOVERS = re.compile(r".*\.(whl|a|deb)$|.*/\.cache/.+|/var/lib/apt/lists/.+_Packages.*|.*/site-packages/.+/tests")


def inside() -> Iterator[tuple[str, os.stat_result]]:
    """Every file and folder of the image with its status, without links and mounted folders."""
    root = Path("/").stat().st_dev
    for folder, folders, files in os.walk("/"):
        kept = []
        for name in [*folders, *files]:
            path = os.path.join(folder, name)  # noqa: PTH118 - pathlib is slow for a hundred thousand files
            status = os.lstat(path)
            if status.st_dev != root or stat.S_ISLNK(status.st_mode):
                continue
            if name in folders:
                kept.append(name)
            yield path, status
        folders[:] = kept


def writable(status: os.stat_result) -> bool:
    """Whether our user, who owns nothing, may write the file, or could as a member of its group."""
    return bool(status.st_mode & (stat.S_IWOTH | stat.S_IWGRP)) or status.st_uid == os.getuid()


def flaws(path: str, status: os.stat_result) -> Iterator[str]:
    """What is wrong with a file."""
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(status.st_mode):
        yield "changes the user"
    if writable(status):
        yield "can be written"
    if LEFTOVERS.fullmatch(path):
        yield "is left over"
    if not status.st_mode & stat.S_IROTH and path.startswith("/opt/"):
        yield "cannot be read"


def refusal(path: str) -> str:
    """Why a file cannot be created there; empty if it can."""
    try:
        Path(path).write_text("")
    except OSError as error:
        return error.strerror or repr(error)
    return ""


def failures(modules: list[str]) -> dict[str, str]:
    """The modules that cannot be imported, and why."""
    failed = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = repr(error)
    return failed


def main() -> None:
    program, *modules = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        failed = failures(modules)
    helped = subprocess.run([program, "--help"], capture_output=True, text=True)
    answers = {
        "ids": [os.getuid(), os.getgid()],
        "user": getpass.getuser(),
        "help": helped.stdout or helped.stderr,
        "refusals": {path: refusal(path) for path in ("/new", "/opt/sdbench/new", "/opt/venv/new", "/tmp/new")},
        "faults": [f"{path} {fault}" for path, status in inside() for fault in flaws(path, status)],
        "installers": [name for name in INSTALLERS if importlib.util.find_spec(name)],
        "programs": [name for name in (*INSTALLERS, *COMPILERS) if shutil.which(name)],
        "packages": {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()},
        "failures": failed,
    }
    print(json.dumps(answers))


main()
