"""Runs the benchmarks: `make bench`, or `python -m benchmarks NAME…` for some of them."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.case import Case, Setting
from benchmarks.cases.all import CASES
from benchmarks.machine import load_between, this_machine
from benchmarks.page import line
from benchmarks.results import RESULTS, CaseResult, earlier, write
from sdbench_trainer.measure.host_load import read_cpu


def measured(case: Case, quick: bool) -> CaseResult:
    """Run one case."""

    def news(words: str) -> None:
        print(f"  {case.name}: {words}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="sdbench-") as folder:
        before, began = read_cpu(), time.monotonic()
        answer = case.answer(Setting(quick, Path(folder), news))
        seconds, load = time.monotonic() - began, load_between(before, read_cpu())
    return CaseResult(
        name=case.name,
        title=case.title,
        how=case.how,
        findings=answer.findings,
        notes=answer.notes,
        seconds=round(seconds, 1),
        load=load,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, by default on the command line; the file is written after each case."""
    names = tuple(case.name for case in CASES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which cases; default: all of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="a smoke run: smallest sizes, numbers mean nothing")
    parser.add_argument("--results", type=Path, default=None, help=f"file to write; default: {RESULTS.name} here")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(names):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if asked.quick and asked.results is None:
        parser.error("a smoke run's numbers mean nothing: name another file for them with --results")
    path = asked.results or RESULTS
    results = earlier(path, this_machine(), asked.quick)
    for case in (case for case in CASES if not asked.names or case.name in asked.names):
        print(f"{case.title} …", flush=True)
        result = measured(case, asked.quick)
        results = results.with_case(result, names)
        write(results, path)
        print("\n".join(f"  {line(found)}" for found in result.findings), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
