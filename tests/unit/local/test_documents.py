"""Tests that an invalid file is refused with the path of each wrong field, as by kubectl."""

from pathlib import Path

import pytest

from page import sample
from sdbench.local.documents import InvalidFile, contents, only_benchmark, stored

GOOD = """
apiVersion: sdbench.dev/v1alpha1
kind: StableDiffusionBenchmark
metadata: {name: tiny}
spec:
  devices: {counts: [1, 2], perPod: 1, hourlyPrice: "2.00"}
  trainer: {model: tiny, imageSize: 64, globalBatchSize: 8, ema: {smoothing: "0.99"}}
"""

WRONG = {
    "unknown field": ("imageSize: 64", "imageSise: 64", 'unknown field "spec.trainer.imageSise"'),
    "unknown field at the root": ("spec:", "spek: 1\nspec:", 'unknown field "spek"'),
    "not a multiple": (
        "imageSize: 64",
        "imageSize: 100",
        "spec.trainer.imageSize: Invalid value: 100: should be a multiple of 32",
    ),
    "text for a number": (
        "[1, 2]",
        '["1", 2]',
        'spec.devices.counts[0]: Invalid value: "1": should be a valid integer',
    ),
    "boolean for a number": (
        "[1, 2]",
        "[1, true]",
        "spec.devices.counts[1]: Invalid value: true: should be a valid integer",
    ),
    "number for a decimal string": (
        '"2.00"',
        "2.5",
        'spec.devices.hourlyPrice: Invalid value: 2.5: write it as a decimal string, as in "2.5"',
    ),
    "an unknown value": (
        "model: tiny",
        "model: sd3",
        "spec.trainer.model: Invalid value: \"sd3\": should be 'sd2-base' or 'tiny'",
    ),
    "missing": ("counts: [1, 2], ", "", "spec.devices.counts: Required value"),
    "another version": (
        "v1alpha1",
        "v9",
        'apiVersion: Invalid value: "sdbench.dev/v9": must be sdbench.dev/v1alpha1',
    ),
    "written twice": ("imageSize: 64", "imageSize: 64, imageSize: 96", 'the field "imageSize" is written twice'),
    "invalid YAML": ("[1, 2]", "[1, 2}", "is not valid YAML: line 6"),
}


def written(folder: Path, text: str) -> Path:
    file = folder / "question.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("right", "wrong", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_refusal_names_the_path_of_the_field(tmp_path: Path, right: str, wrong: str, sentence: str) -> None:
    assert right in GOOD
    with pytest.raises(InvalidFile) as refused:
        contents(written(tmp_path, GOOD.replace(right, wrong)))
    assert sentence in str(refused.value)
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("name", ["Tiny", "1tiny", "tiny-", "a" * 37])
def test_a_name_that_cannot_begin_a_pod_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidFile, match=r"metadata\.name: Invalid value"):
        contents(written(tmp_path, GOOD.replace("tiny}", name + "}")))


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("imageSize: 64", "imageSize: 100").replace("[1, 2]", "[0]")
    with pytest.raises(InvalidFile) as refused:
        contents(written(tmp_path, text))
    assert len(refused.value.problems) == 2


def test_the_refusal_of_a_file_without_a_benchmark_lists_its_kinds(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidFile, match="holds no StableDiffusionBenchmark, only Secret; name a file with a StableDiffusionBenchmark"
    ):
        contents(written(tmp_path, "kind: Secret\n"))


def test_an_empty_file_is_refused_as_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"^is empty; name a file with a StableDiffusionBenchmark$"):
        contents(written(tmp_path, ""))


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read: No such file"):
        contents(tmp_path / "absent.yaml")


def test_the_kinds_of_other_documents_are_returned(tmp_path: Path) -> None:
    found = contents(written(tmp_path, f"kind: Secret\n---\n{GOOD}"))
    assert found.other_kinds == ("Secret",)
    assert found.benchmarks[0].metadata.name == "tiny"


def test_two_benchmarks_in_a_file_are_refused_where_one_is_wanted(tmp_path: Path) -> None:
    file = written(tmp_path, f"{GOOD}\n---\n{GOOD.replace('name: tiny', 'name: other')}")
    with pytest.raises(InvalidFile, match=r"2 Benchmarks \(tiny, other\)"):
        only_benchmark(file)


def test_a_list_as_kubectl_prints_it_is_read(tmp_path: Path) -> None:
    item = stored(sample.complete())
    file = written(tmp_path, f'{{"apiVersion": "v1", "kind": "List", "items": [{item}]}}')
    assert only_benchmark(file) == sample.complete()


def test_a_stored_benchmark_reads_back_unchanged(tmp_path: Path) -> None:
    assert only_benchmark(written(tmp_path, stored(sample.partly()))) == sample.partly()
