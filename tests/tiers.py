"""Runs each test tier by itself, and reports in a line what was left out and why.

    python tests/tiers.py              every tier, three at a time; a tier's output is printed when it has ended
    python tests/tiers.py unit api     these tiers
    python tests/tiers.py --list       what each tier proves and needs

With CI set in the environment, a tier that cannot run is an error.
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
"""How many tiers run at a time: each often waits for imports, pods and timed steps."""

NEWS_SECONDS = 60
LAST_LINES = 5
SPEAKING = threading.Lock()
RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Need:
    """Something that a tier needs on the machine."""

    met: Callable[[], bool]
    sentence: str


@dataclass(frozen=True)
class Tier:
    """One folder of tests, or the lint commands."""

    name: str
    proves: str
    needs: tuple[Need, ...] = ()
    packages: tuple[str, ...] = ()
    """Debian packages, which are installed if this is root."""


@dataclass(frozen=True)
class Outcome:
    """A tier's result: why it was left out, or whether it passed, in how many seconds, and its failures."""

    tier: Tier
    passed: bool = True
    seconds: float = 0.0
    left_out: str = ""
    failures: tuple[str, ...] = ()


def on_path(*programs: str) -> Callable[[], bool]:
    """A check that all these programs exist, on the PATH or in the sbin folders."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return lambda: all(shutil.which(program, path=path) for program in programs)


GO = Need(on_path("go"), "Go 1.26 or newer builds the cluster's binaries: install it and put go on the PATH")
ROOT_USER = Need(lambda: os.geteuid() == 0, "a node needs root: run this as root")
PROMTOOL = Need(on_path("promtool"), "promtool checks the queries: apt-get install prometheus")
CHROMIUM = Need(on_path("chromium"), "the page is opened in a browser: apt-get install chromium")
CONTAINERS = Need(
    on_path("containerd", "runc", "buildah", "skopeo", "debootstrap", "iptables", "ipset", "conntrack"),
    "a node needs containerd, runc, buildah, skopeo, debootstrap, iptables, ipset, conntrack: see CONTRIBUTING.md",
)
NODE_PACKAGES = (
    *("containerd", "runc", "buildah", "skopeo", "debootstrap", "iptables", "ipset", "conntrack", "ethtool", "socat"),
    *("containernetworking-plugins", "gcc", "libc6-dev", "prometheus"),
)

TIERS = (
    Tier("lint", "style, types, import contracts, Dockerfiles, spelling, known vulnerabilities"),
    Tier("unit", "plan, decide, statistics, projection, manifests, schema"),
    Tier("trainer", "config to batches to Report, exit codes, on the real Composer and a real S3 server", (GO,)),
    Tier("cluster", "kubectl apply to table, on a real kubelet", (ROOT_USER, GO, CONTAINERS), NODE_PACKAGES),
    Tier("faults", "crashes, API errors, silence, missing rights, on a real API server", (GO,)),
    Tier("walk", "every change of every field is refused by name, or shows in the run", (GO,)),
    Tier("api", "CRD, ownership, limits, scheduling, on a real API server", (GO,)),
    Tier("scale", "256 devices and a queue; only the kubelets are simulated", (GO,)),
    Tier("local", "the same Benchmark without a cluster"),
    Tier("properties", "each Trial counts once, in any interleaving and with any crash"),
    Tier("chart", "rendered YAML and dashboards", (GO, PROMTOOL), ("prometheus",)),
    Tier("scan", "Dockerfiles, rendered YAML and training pods against a security scanner's rules", (GO,)),
    Tier("page", "the report in a real browser", (CHROMIUM,), ("chromium",)),
)
"""The quick tiers first, then the longest, so that all threads end at about the same time."""


def commands(tier: Tier) -> Iterable[list[str]]:
    """The commands of a tier, each of which must exit 0."""
    tools = Path(sys.executable).parent
    if tier.name == "lint":
        yield [str(tools / "ruff"), "check", "--quiet", "."]
        yield [str(tools / "ruff"), "format", "--check", "--quiet", "."]
        yield [str(tools / "mypy"), "operator/src", "trainer/src", "tests", "benchmarks", "charts", "release"]
        yield [str(tools / "lint-imports"), "--no-logo"]
        dockerfiles = sorted(str(path) for path in (ROOT / "docker").glob("*.Dockerfile"))
        yield [sys.executable, "tests/isolated_tools.py", "checks", "hadolint", *dockerfiles]
        yield [sys.executable, "tests/isolated_tools.py", "checks", "codespell", "."]
        yield [sys.executable, "tests/audit.py", "--where-possible"]
    else:
        yield [sys.executable, "-m", "pytest", f"tests/{tier.name}", "--durations=5"]


def install(packages: tuple[str, ...]) -> None:
    """Installs the missing packages of these, if this is Debian and the user is root."""
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
    """Runs one tier, or returns what it lacks. Its output is printed at its end, since several run at a time."""
    lacking = [need.sentence for need in tier.needs if not need.met()]
    if lacking:
        return Outcome(tier, left_out="; ".join(lacking))
    say(f"{tier.name}: started ({tier.proves})")
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        passed = all(ran_well(command, output) for command in commands(tier))
        output.seek(0)
        printed = output.read()
        result = Outcome(tier, passed, time.monotonic() - started, failures=() if passed else failures_in(printed))
        say(f"\n=== {tier.name}: {tier.proves}\n{printed}{line(result)}")
    return result


def failures_in(printed: str) -> tuple[str, ...]:
    """A failed tier's failures: pytest's short summary, or the last lines of output without one."""
    lines = printed.splitlines()
    return tuple(text for text in lines if text.startswith(("FAILED ", "ERROR "))) or tuple(lines[-LAST_LINES:])


def ran_well(command: list[str], output: TextIO) -> bool:
    """Runs a tier's command; returns whether it exited 0. A new session keeps the terminal's signals from it."""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:
        RUNNING.add(process)
        process.wait()
        RUNNING.discard(process)
        return process.returncode == 0


def outcomes_of(chosen: list[Tier]) -> list[Outcome]:
    """Runs the tiers concurrently; passes an interrupt on to the running commands, which then clean up."""
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
    """Prints a text to the terminal without interleaving."""
    with SPEAKING:
        print(text, flush=True)


def line(result: Outcome) -> str:
    """A tier's line in the final table."""
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
        print("A tier was left out, which is an error with CI set.", file=sys.stderr)
        return 1
    return 0 if all(result.passed for result in outcomes) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
