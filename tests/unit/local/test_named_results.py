"""Tests that the Benchmarks that a spec names are found, or reported as missing."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sdbench.core.snapshot import Reference
from sdbench.local.documents import stored
from sdbench.local.named_results import references, unusable_references
from sdbench.local.preflight import LocalRunRefused
from unit.core.gate.gates import answer, asked, row
from unit.core.worlds import benchmark

GATE = {"baseline": {"name": "old"}}
STAGES = {"stages": [{"images": 1, "imageSize": 64, "benchmark": "small"}]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with one Benchmark, `old`."""
    document = tmp_path / "old" / "benchmark.json"
    document.parent.mkdir()
    document.write_text(stored(answer(asked(), row(), name="old")))
    return tmp_path


def found(results: Path, baseline: Path | None = None, **changes: Any) -> dict[str, Reference]:
    whole: dict[str, Any] = {"gate": GATE, "projection": STAGES, **changes}
    return {one.name: one for one in references(benchmark(asked(**whole)), results, baseline)}


def test_each_benchmark_is_read_from_the_folder_of_its_name(results: Path) -> None:
    there = found(results)
    assert list(there) == ["small", "old"]
    assert there["old"].benchmark is not None
    assert there["old"].benchmark.metadata.name == "old"
    assert there["small"].benchmark is None


def test_a_missing_benchmark_is_reported_before_the_run(results: Path) -> None:
    assert list(unusable_references(tuple(found(results).values()))) == [
        f"Benchmark small does not exist: there is no {results / 'small' / 'benchmark.json'}. Measure it first; "
        "otherwise what the spec compares with it stays unknown."
    ]


@pytest.mark.parametrize("text", ["", "{", "kind: Secret", "\x00", '{"kind": "StableDiffusionBenchmark", "spec": {}}'])
def test_a_file_that_cannot_be_read_counts_as_absent_with_a_sentence(results: Path, text: str) -> None:
    (results / "old" / "benchmark.json").write_text(text)
    there = found(results)["old"]
    assert there.benchmark is None
    assert there.absence.startswith("cannot be read: ")


def test_a_file_replaces_the_baseline_under_its_name(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text(stored(answer(asked(), row(rate="7"), name="other")))
    there = found(results, file)["old"].benchmark
    assert there is not None
    assert (there.metadata.name, there.status.points[0].images_per_second) == ("other", Decimal(7))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no gate": ({"gate": None}, "spec.gate.baseline, which is absent"),
    "no baseline": ({"gate": {"maxDays": "1"}}, "spec.gate.baseline, which is absent"),
    "a stage of that name": (
        {"projection": {"stages": [{"images": 1, "imageSize": 64, "benchmark": "old"}]}},
        "old is a stage of the projection too",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_file_that_replaces_no_baseline_is_refused(results: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LocalRunRefused, match=sentence):
        found(results, results / "old" / "benchmark.json", **changes)


def test_a_named_file_without_a_benchmark_is_refused(results: Path) -> None:
    with pytest.raises(LocalRunRefused, match=r"absent\.json: cannot be read"):
        found(results, results / "absent.json")
