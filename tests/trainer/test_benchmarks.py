"""Tests that the benchmarks still run, and that what they count is right."""

import pytest

from benchmarks.__main__ import main
from benchmarks.cases.all import CASES
from benchmarks.results import RESULTS, Finding, Results

COUNTED = ("operations", "of the bytes")
"""Units of values that are the same on every machine, however loaded."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of a smoke run of all cases."""
    file = tmp_path_factory.mktemp("benchmarks") / "results.json"
    assert main(["--quick", "--results", str(file)]) == 0
    return Results.model_validate_json(file.read_text())


def counted(results: Results, name: str) -> list[Finding]:
    """What a case counted."""
    found = next(case for case in results.cases if case.name == name)
    return [finding for finding in found.findings if finding.value_unit in COUNTED]


def test_every_case_runs_and_finds_something(results: Results) -> None:
    assert results.quick
    assert [case.name for case in results.cases] == [case.name for case in CASES]
    assert all(case.findings for case in results.cases)


def test_an_average_is_one_operation_whatever_the_number_of_tensors(results: Results) -> None:
    assert [finding.ours for finding in counted(results, "average")] == [1]


def test_a_tail_is_at_most_ten_operations_whatever_the_number_of_tensors(results: Results) -> None:
    found = counted(results, "tail")
    assert len({finding.what for finding in found}) >= 2
    assert len({finding.ours for finding in found}) == 1
    assert all(finding.ours <= 10 < (finding.plain or 0) for finding in found)


def test_samples_have_a_fourth_of_the_bytes(results: Results) -> None:
    found = counted(results, "loader")
    assert found
    assert all(finding.value <= 0.26 for finding in found)


def test_the_committed_results_have_every_case() -> None:
    committed = Results.model_validate_json(RESULTS.read_text())
    assert [case.name for case in committed.cases] == [case.name for case in CASES]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "no such case: nonsense"),
        (["--quick"], "--quick needs --results FILE"),
    ],
)
def test_a_wrong_command_line_is_refused_with_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
