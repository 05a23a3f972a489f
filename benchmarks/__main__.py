"""Runs the benchmarks: all of them, or those named on the command line."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.case import Case, CaseContext
from benchmarks.cases.all import CASES
from benchmarks.machine import load_between, this_machine
from benchmarks.page import line
from benchmarks.results import RESULTS, CaseResult, earlier, write
from sdbench_trainer.measure.host_load import read_cpu


def run_case(case: Case, quick: bool) -> CaseResult:
    """Runs one case."""

    def report_progress(words: str) -> None:
        print(f"  {case.name}: {words}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="sdbench-") as folder:
        before, started = read_cpu(), time.monotonic()
        found = case.measure(CaseContext(quick, Path(folder), report_progress))
        seconds, load = time.monotonic() - started, load_between(before, read_cpu())
    return CaseResult(
        name=case.name,
        title=case.title,
        how=case.how,
        findings=found.findings,
        notes=found.notes,
        seconds=round(seconds, 1),
        load=load,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cases that the arguments (by default the command line) name; writes the results after each case."""
    names = tuple(case.name for case in CASES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"cases to run (default: all of {', '.join(names)})")
    parser.add_argument(
        "--quick", action="store_true", help="only test that the cases run: smallest sizes, meaningless numbers"
    )
    parser.add_argument(
        "--results", type=Path, default=None, help=f"file to write (default: benchmarks/{RESULTS.name})"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    if options.quick and options.results is None:
        parser.error("--quick needs --results FILE, because its meaningless numbers must not replace real results")
    path = options.results or RESULTS
    results = earlier(path, this_machine(), options.quick)
    for case in (case for case in CASES if not options.names or case.name in options.names):
        print(f"{case.title} …", flush=True)
        result = run_case(case, options.quick)
        results = results.with_case(result, names)
        write(results, path)
        print("\n".join(f"  {line(found)}" for found in result.findings), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
