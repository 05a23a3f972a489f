"""Tests that a second run in a results folder loses no Measurement."""

from pathlib import Path

import pytest

from page import sample
from sdbench.api.spec import Limits, Repeats
from sdbench.local.preflight import LocalRunRefused
from sdbench.local.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A folder with stored results and a log."""
    found = Results(tmp_path)
    found.store(sample.partly())
    found.log_of("attempt").parent.mkdir()
    found.log_of("attempt").touch()
    return found


def test_a_fresh_run_in_a_folder_with_results_is_refused(results: Results) -> None:
    with pytest.raises(LocalRunRefused, match="add --resume to continue it, --overwrite to replace it"):
        results.fresh(sample.complete(), overwrite=False)
    assert results.document.exists()


def test_overwriting_deletes_the_results_and_their_logs(results: Results) -> None:
    assert results.fresh(sample.complete(), overwrite=True) == sample.complete()
    assert not results.document.exists()
    assert not results.log_of("attempt").exists()


def test_a_resumed_run_keeps_the_status_and_the_uid(results: Results) -> None:
    old = sample.partly()
    resumed = results.resumed(old.model_copy(update={"status": sample.benchmark(old.status).status}))
    assert resumed.status == old.status
    assert resumed.metadata == old.metadata


def test_limits_may_change_before_a_run_is_resumed(results: Results) -> None:
    old = sample.partly()
    wider = old.spec.model_copy(update={"limits": Limits(total_seconds=5)})
    assert results.resumed(old.model_copy(update={"spec": wider})).spec.limits.total_seconds == 5


def test_a_run_with_another_spec_cannot_be_resumed(results: Results) -> None:
    old = sample.partly()
    other = old.model_copy(update={"spec": old.spec.model_copy(update={"repeats": Repeats(min=7)})})
    with pytest.raises(LocalRunRefused, match="belongs to another spec"):
        results.resumed(other)


def test_resuming_an_empty_folder_is_a_fresh_run(tmp_path: Path) -> None:
    assert Results(tmp_path).resumed(sample.partly()) == sample.partly()


def test_two_runs_cannot_use_one_folder_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    with (
        Results(folder).locked(),
        pytest.raises(LocalRunRefused, match="Another sdbench run"),
        Results(folder).locked(),
    ):
        pass
    with Results(folder).locked():
        pass
