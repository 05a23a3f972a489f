"""Checks the images' packages for known vulnerabilities in the database of pypi.org, with pip-audit.

python tests/audit.py                    fails if the database is not available
python tests/audit.py --where-possible   only prints a message then: for a machine with a package mirror only
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from isolated_tools import program
from sbom import VERSIONS

ROOT = Path(__file__).resolve().parent.parent
KNOWN = "https://pypi.org/pypi/pip/24.0/json"
"""The record of a version with known vulnerabilities."""

UNANSWERED = "not audited: pypi.org's database of vulnerabilities is not available here, and a mirror has none"
SECONDS = 20


def answers() -> bool:
    """Whether the database responds, and not just a mirror of the packages."""
    try:
        with urllib.request.urlopen(KNOWN, timeout=SECONDS) as answer:
            return bool(json.load(answer).get("vulnerabilities"))
    except (OSError, ValueError):
        return False


def sound(image: str) -> bool:
    """Whether pip-audit finds nothing in the image's hashed requirements; it prints what it finds."""
    options = ("--strict", "--disable-pip", "--require-hashes", "-r", f"requirements/{image}.txt")
    return subprocess.run([str(program("sbom", "pip-audit")), *options], cwd=ROOT).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--where-possible", action="store_true", help="do not fail if the database is not available")
    where_possible = parser.parse_args().where_possible
    if not answers():
        print(UNANSWERED, file=sys.stderr)
        return 0 if where_possible else 1
    audited = [sound(image) for image in VERSIONS]
    return 0 if all(audited) else 1


if __name__ == "__main__":
    sys.exit(main())
