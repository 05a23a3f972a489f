"""Provides the pause program, compiled once from pause.c."""

import hashlib
import subprocess
from pathlib import Path

from harness.cache import cache_folder
from harness.failure import HarnessError, last_lines

SOURCE = Path(__file__).with_name("pause.c")


def pause_binary() -> Path:
    """The static `pause` program, in the cache under the hash of its source."""
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    path = cache_folder("bin") / f"pause-{version}"
    if not path.exists():
        passing = path.with_suffix(".tmp")
        command = ["gcc", "-static", "-Os", "-s", "-o", str(passing), str(SOURCE)]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode != 0:
            raise HarnessError(f"compiling {SOURCE.name} failed:\n{last_lines(run.stderr)}")
        passing.rename(path)
    return path
