"""Runs each test tier by itself, and reports in a line what was left out and why.

    python tests/tiers.py              every tier, three at a time; each one's output comes when it has ended
    python tests/tiers.py unit api     these tiers
    python tests/tiers.py --list       what each tier proves and needs

With CI set in the environment nothing may be left out: what a tier lacks is then an error.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
SIDE_BY_SIDE = 3
"""Tiers at the same time: each of them waits a lot, for imports, pods and paced steps."""

NEWS_SECONDS = 60
LAST_LINES = 5
SPEAKING = threading.Lock()
RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Need:
    """Something that a tier needs of the machine."""

    met: Callable[[], bool]
    sentence: str


@dataclass(frozen=True)
class Tier:
    """One folder of tests, or the lint commands."""

    name: str
    proves: str
    needs: tuple[Need, ...] = ()
    packages: tuple[str, ...] = ()
    """Debian packages; installed when root."""


@dataclass(frozen=True)
class Outcome:
    """How a tier ended: `left_out` holds the reason, or the commands gave `passed` in `seconds`, with `failures`."""

    tier: Tier
    passed: bool = True
    seconds: float = 0.0
    left_out: str = ""
    failures: tuple[str, ...] = ()


def on_path(*programs: str) -> Callable[[], bool]:
    """Whether all these programs can be found, also in the folders that only root has on its path."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return lambda: all(shutil.which(program, path=path) for program in programs)


GO = Need(on_path("go"), "Go 1.26 or newer builds the cluster's binaries: install it and put go on the PATH")
ROOT_USER = Need(lambda: os.geteuid() == 0, "a node needs root: run it as root")
PROMTOOL = Need(on_path("promtool"), "promtool judges the queries: apt-get install prometheus")
CHROMIUM = Need(on_path("chromium"), "the page is read in a browser: apt-get install chromium")
CONTAINERS = Need(
    on_path("containerd", "runc", "buildah", "skopeo", "debootstrap", "iptables", "ipset", "conntrack"),
    "a node needs containerd, runc, buildah, skopeo, debootstrap, iptables, ipset, conntrack: see CONTRIBUTING.md",
)
NODE_PACKAGES = (
    *("containerd", "runc", "buildah", "skopeo", "debootstrap", "iptables", "ipset", "conntrack", "ethtool", "socat"),
    *("containernetworking-plugins", "gcc", "libc6-dev", "prometheus"),
)

TIERS = (
    Tier("lint", "style, types, import contracts, Dockerfiles, known vulnerabilities"),
    Tier("unit", "plan, decide, statistics, projection, manifests, schema"),
    Tier("trainer", "config to batches to Report, exit codes, on the real Composer and a real S3 server", (GO,)),
    Tier("cluster", "kubectl apply to table, on a real kubelet", (ROOT_USER, GO, CONTAINERS), NODE_PACKAGES),
    Tier("faults", "crashes, API weather, silence, rights, on a real API server", (GO,)),
    Tier("walk", "every change of every field: refused by its name, or seen in what runs", (GO,)),
    Tier("api", "CRD, ownership, bounds, placement, on a real API server", (GO,)),
    Tier("scale", "256 devices and a queue: only the kubelet is played", (GO,)),
    Tier("local", "the same question without a cluster"),
    Tier("properties", "any interleaving and any crash: each Trial counted once"),
    Tier("chart", "rendered YAML and dashboards", (GO, PROMTOOL), ("prometheus",)),
    Tier("scan", "Dockerfiles, rendered YAML and training pods against a security scanner's rules", (GO,)),
    Tier("page", "the report in a real browser", (CHROMIUM,), ("chromium",)),
)
"""The quick ones first, then the longest, so that the lanes end together."""


def commands(tier: Tier) -> Iterable[list[str]]:
    """What is run for a tier; each must exit 0."""
    tools = Path(sys.executable).parent
    if tier.name == "lint":
        yield [str(tools / "ruff"), "check", "--quiet", "."]
        yield [str(tools / "ruff"), "format", "--check", "--quiet", "."]
        yield [str(tools / "mypy"), "operator/src", "trainer/src", "tests", "benchmarks", "charts"]
        yield [str(tools / "lint-imports"), "--no-logo"]
        dockerfiles = sorted(str(path) for path in (ROOT / "docker").glob("*.Dockerfile"))
        yield [sys.executable, "tests/apart.py", "checks", "hadolint", *dockerfiles]
        yield [sys.executable, "tests/audit.py", "--where-possible"]
    else:
        yield [sys.executable, "-m", "pytest", f"tests/{tier.name}", "--durations=5"]


def install(packages: tuple[str, ...]) -> None:
    """Install the missing ones of these Debian packages, if this is Debian and we are root."""
    if not packages or os.geteuid() != 0 or not on_path("apt-get", "dpkg-query")():
        return
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages], capture_output=True, text=True
    )
    present = {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("installed ")}
    missing = [package for package in packages if package not in present]
    if missing:
        print(f"Installing Debian packages: {' '.join(missing)} …", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True)
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
            env=quiet,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def outcome(tier: Tier) -> Outcome:
    """Run one tier, or say what it lacks. Its output is shown when it has ended: several run side by side."""
    lacking = [need.sentence for need in tier.needs if not need.met()]
    if lacking:
        return Outcome(tier, left_out="; ".join(lacking))
    say(f"{tier.name}: started ({tier.proves})")
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        passed = all(ran_well(command, output) for command in commands(tier))
        output.seek(0)
        told = output.read()
        result = Outcome(tier, passed, time.monotonic() - started, failures=() if passed else failures_in(told))
        say(f"\n=== {tier.name}: {tier.proves}\n{told}{line(result)}")
    return result


def failures_in(told: str) -> tuple[str, ...]:
    """What a failed tier says of its failures: pytest's short summary, or the last lines of a command without one."""
    lines = told.splitlines()
    return tuple(text for text in lines if text.startswith(("FAILED ", "ERROR "))) or tuple(lines[-LAST_LINES:])


def ran_well(command: list[str], output: TextIO) -> bool:
    """Run one command of a tier; whether it exited 0. Its signals come from us, not from the terminal."""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:
        RUNNING.add(process)
        process.wait()
        RUNNING.discard(process)
        return process.returncode == 0


def outcomes_of(chosen: list[Tier]) -> list[Outcome]:
    """Run the tiers, side by side; an interruption is passed on to what runs, which then clears up after itself."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as lanes:
        running = {lanes.submit(outcome, tier): tier for tier in chosen}
        try:
            while waiting := wait(running, timeout=NEWS_SECONDS).not_done:
                say(f"waiting for: {', '.join(tier.name for lane, tier in running.items() if lane in waiting)}")
        except KeyboardInterrupt:
            lanes.shutdown(wait=False, cancel_futures=True)
            for process in set(RUNNING):
                process.send_signal(signal.SIGINT)
            raise
    return [lane.result() for lane in running]


def say(text: str) -> None:
    """Tell the person at the terminal, in one piece."""
    with SPEAKING:
        print(text, flush=True)


def line(result: Outcome) -> str:
    """One line of the closing table."""
    if result.left_out:
        return f"  {result.tier.name:<11} left out: {result.left_out}"
    return f"  {result.tier.name:<11} {'passed' if result.passed else 'FAILED'} in {result.seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiers", nargs="*", metavar="TIER", help="which tiers; default: all")
    parser.add_argument("--list", action="store_true", help="show what each tier proves and needs, run nothing")
    arguments = parser.parse_args()
    unknown = set(arguments.tiers) - {tier.name for tier in TIERS}
    if unknown:
        parser.error(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TIERS)}")
    chosen = [tier for tier in TIERS if not arguments.tiers or tier.name in arguments.tiers]
    if arguments.list:
        print("\n".join(f"  {tier.name:<11} {tier.proves}" for tier in chosen))
        return 0
    install(tuple(package for tier in chosen for package in tier.packages))
    outcomes = outcomes_of(chosen)
    print("\nTiers:\n" + "\n".join(line(result) for result in outcomes), flush=True)
    for failure in (failure for result in outcomes for failure in result.failures):
        print(failure, flush=True)
    in_ci = bool(os.environ.get("CI"))
    if in_ci and any(result.left_out for result in outcomes):
        print("With CI set no tier may be left out.", file=sys.stderr)
        return 1
    return 0 if all(result.passed for result in outcomes) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
