"""Tests that the results name the machine, and that the page shows them."""

from pathlib import Path

import pytest

from benchmarks.comparison import Estimate
from benchmarks.machine import Load, Machine, load_between
from benchmarks.page import line, page
from benchmarks.results import (
    RESULTS,
    CaseResult,
    Finding,
    Results,
    Target,
    Verdict,
    at_least,
    at_most,
    earlier,
    finding,
    write,
)
from sdbench_trainer.measure.host_load import CpuReading, cpu_times_in

ROOT = Path(__file__).resolve().parents[3]
MACHINE = Machine(
    processor="Some CPU",
    cores=2,
    memory_gibibytes=24,
    vectors="AVX2",
    threads=1,
    python="3.11",
    versions={"torch": "2"},
)


def row(value: Estimate, target: Target | None, plain: float | None = 12.0) -> Finding:
    """A finding with this value."""
    return finding("update", unit="ms", plain=plain, ours=1.0, value=value, value_unit="times faster", target=target)


def case(name: str, seconds: float = 1.0) -> CaseResult:
    """The result of a case."""
    return CaseResult(
        name=name,
        title=f"The {name}",
        how="Somehow.",
        findings=(row(Estimate(12.0, 11.0, 13.0), at_least(10.0)),),
        notes=("A note.",),
        seconds=seconds,
        load=Load(foreign_cpu_ratio=0.25, steal_ratio=0.01),
    )


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [
        (Estimate(12.0, 11.0, 13.0), at_least(10.0), Verdict.MET),
        (Estimate(10.0), at_least(10.0), Verdict.MET),
        (Estimate(12.0, 9.0, 13.0), at_least(10.0), Verdict.NARROWLY),
        (Estimate(9.9, 9.0, 13.0), at_least(10.0), Verdict.MISSED),
        (Estimate(2.0, 1.0, 2.9), at_most(3.0), Verdict.MET),
        (Estimate(2.0, 1.0, 3.1), at_most(3.0), Verdict.NARROWLY),
        (Estimate(3.1, 1.0, 3.2), at_most(3.0), Verdict.MISSED),
        (Estimate(-1.0, -2.0, 0.0), at_most(3.0), Verdict.MET),
        (Estimate(float("nan")), at_least(10.0), Verdict.MISSED),
        (Estimate(float("nan")), at_most(3.0), Verdict.MISSED),
        (Estimate(12.0), None, None),
    ],
)
def test_a_target_is_met_narrowly_met_or_missed(
    value: Estimate, target: Target | None, verdict: Verdict | None
) -> None:
    assert row(value, target).verdict is verdict


def test_a_new_result_replaces_the_old_one_and_keeps_the_order_of_the_cases() -> None:
    order = ("first", "second", "third")
    results = Results(machine=MACHINE, quick=False, cases=(case("third"), case("gone"), case("first")))
    results = results.with_case(case("second"), order).with_case(case("third", seconds=9.0), order)
    assert [(found.name, found.seconds) for found in results.cases] == [("first", 1.0), ("second", 1.0), ("third", 9.0)]


@pytest.mark.parametrize(
    ("machine", "quick", "kept"),
    [(MACHINE, False, 1), (MACHINE.model_copy(update={"cores": 4}), False, 0), (MACHINE, True, 0)],
)
def test_earlier_results_are_kept_only_if_they_are_from_the_same_machine(
    machine: Machine, quick: bool, kept: int, tmp_path: Path
) -> None:
    write(Results(machine=MACHINE, quick=False, cases=(case("first"),)), tmp_path / "results.json")
    assert len(earlier(tmp_path / "results.json", machine, quick).cases) == kept


def test_without_a_file_there_are_no_earlier_results(tmp_path: Path) -> None:
    assert earlier(tmp_path / "results.json", MACHINE, False).cases == ()


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results(machine=MACHINE, quick=False, cases=(case("first"),))
    write(results, tmp_path / "results.json")
    assert Results.model_validate_json((tmp_path / "results.json").read_text()) == results


def test_the_load_excludes_idle_time_and_our_own() -> None:
    before = CpuReading("host", cpu_times_in("cpu  100 0 50 800 50 0 0 0 0 0\n"), own=100)
    after = CpuReading("host", cpu_times_in("cpu  200 10 80 1000 60 5 5 40 77 0\n"), own=190)
    assert load_between(before, after) == Load(foreign_cpu_ratio=0.15, steal_ratio=0.1)


def test_the_page_says_if_the_load_is_unknown() -> None:
    assert load_between(None, None) is None
    unseen = case("first").model_copy(update={"load": None})
    assert "the CPU time of other processes is unknown" in page(Results(machine=MACHINE, quick=False, cases=(unseen,)))


def test_the_page_shows_every_finding_with_machine_load_and_target() -> None:
    text = page(Results(machine=MACHINE, quick=False, cases=(case("first"),)))
    assert "| update | 12 ms | 1 ms | 12 [11, 13] times faster | ≥ 10 | met |" in text
    assert "Some CPU, 2 cores, 24 GiB, AVX2, 1 thread;" in text
    assert "other processes used 25.0% of the machine's CPU time, and the hypervisor withheld 1.0%" in text
    assert "* A note." in text


def test_a_line_without_a_plain_implementation_and_a_target_has_a_dash_and_no_verdict() -> None:
    assert line(row(Estimate(1234.5), None, plain=None)) == "update: plain –, ours 1 ms: 1,234 times faster"


def test_the_committed_page_shows_the_committed_results() -> None:
    results = Results.model_validate_json(RESULTS.read_text())
    assert not results.quick
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(results), "the page is stale: run make generate"
