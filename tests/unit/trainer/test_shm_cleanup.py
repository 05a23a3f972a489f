"""Tests that the cleanup removes only the shared-memory segments that killed ranks left behind."""

from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from sdbench_trainer.pod.shm_cleanup import FRESH_SECONDS, remove_all, remove_those_of, remove_unused


@pytest.fixture
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    for name in ("000000_locals", "000002_barrier", "000002_next_epoch", "000003_locals", "sem.other", "torch_12"):
        (folder / name).touch()
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_pod_removes_all_segments_of_streaming_even_after_a_gap_in_their_numbers(memory: Path) -> None:
    remove_all(memory)
    assert names(memory) == {"sem.other", "torch_12"}


def test_a_finished_run_removes_only_its_own_segments(memory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    locks = tmp_path_factory.mktemp("locks")
    (locks / "000002_barrier_filelock").touch()
    remove_those_of(locks, memory)
    assert names(memory) == {"000000_locals", "000003_locals", "sem.other", "torch_12"}


@pytest.mark.parametrize(
    ("used", "seconds", "left"),
    [
        (("000002_barrier",), 2 * FRESH_SECONDS, {"000002_barrier", "000002_next_epoch"}),
        ((), 2 * FRESH_SECONDS, set()),
        ((), FRESH_SECONDS / 2, {"000000_locals", "000002_barrier", "000002_next_epoch", "000003_locals"}),
    ],
)
def test_a_run_beside_others_removes_only_unused_segments(
    memory: Path, tmp_path_factory: pytest.TempPathFactory, used: tuple[str, ...], seconds: float, left: set[str]
) -> None:
    processes = tmp_path_factory.mktemp("proc")
    (processes / "17").mkdir()
    lines = [f"7f0000000000-7f0000001000 rw-s 00000000 00:1b 5   /dev/shm/{name}" for name in used]
    (processes / "17" / "maps").write_text("\n".join(lines))
    made = (memory / "000000_locals").stat().st_mtime
    remove_unused(memory, processes, now=lambda: made + seconds)
    assert names(memory) == left | {"sem.other", "torch_12"}


def test_a_segment_of_a_live_process_is_kept(memory: Path) -> None:
    (memory / "999998_locals").touch()
    made = (memory / "999998_locals").stat().st_mtime
    segment = SharedMemory("999998_locals", create=True, size=4)
    try:
        remove_unused(memory, now=lambda: made + 2 * FRESH_SECONDS)
        assert "999998_locals" in names(memory)
    finally:
        segment.close()
        segment.unlink()


def test_missing_folders_are_ignored(memory: Path) -> None:
    remove_those_of(memory / "absent", memory)
    remove_all(memory / "absent")
    assert len(names(memory)) == 6
