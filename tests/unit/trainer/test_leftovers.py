"""Is only that removed from shared memory which killed ranks left?"""

from pathlib import Path

import pytest

from sdbench_trainer.leftovers import remove_all, remove_those_of


@pytest.fixture
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    for name in ("000000_locals", "000002_barrier", "000002_next_epoch", "000003_locals", "sem.other", "torch_12"):
        (folder / name).touch()
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_fresh_pod_removes_all_of_streaming_also_behind_a_gap(memory: Path) -> None:
    remove_all(memory)
    assert names(memory) == {"sem.other", "torch_12"}


def test_a_finished_run_removes_only_its_own(memory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    locks = tmp_path_factory.mktemp("locks")
    (locks / "000002_barrier_filelock").touch()
    remove_those_of(locks, memory)
    assert names(memory) == {"000000_locals", "000003_locals", "sem.other", "torch_12"}


def test_nothing_there_is_nothing_to_do(memory: Path) -> None:
    remove_those_of(memory / "absent", memory)
    remove_all(memory / "absent")
    assert len(names(memory)) == 6
