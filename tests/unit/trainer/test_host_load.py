"""Tests that the host's load is split into the run's own processes, other processes and the hypervisor."""

from pathlib import Path

import pytest

from sdbench_trainer.measure.host_load import (
    CpuDelta,
    CpuReading,
    CpuTimes,
    HostLoad,
    cpu_delta,
    cpu_times_in,
    read_cpu,
    ticks_in,
    worst_load,
)

STAT = """cpu  1000 20 300 4000 500 6 7 80 900 10
cpu0 500 10 150 2000 250 3 3 40 450 5
cpu1 500 10 150 2000 250 3 4 40 450 5
intr 1234 0 0
"""
HOST = "11111111-2222-3333-4444-555555555555"


def process(pid: int, ticks: tuple[int, int, int, int], name: str = "python") -> str:
    """A line of /proc/PID/stat; `ticks` are utime, stime, cutime and cstime."""
    return f"{pid} ({name}) S 1 42 42 0 -1 4194560 1 2 3 4 {' '.join(map(str, ticks))} 20 0 1 0 99 5 6 7"


def session_of(pid: int) -> int:
    """Processes below 20 belong to this session; process 17 has just ended."""
    if pid == 17:
        raise ProcessLookupError
    return 42 if pid < 20 else 43


def proc(folder: Path, stat: str, *processes: str) -> Path:
    """A folder like /proc."""
    kernel = folder / "sys" / "kernel" / "random"
    kernel.mkdir(parents=True, exist_ok=True)
    (kernel / "boot_id").write_text(HOST + "\n")
    (folder / "stat").write_text(stat)
    for line in processes:
        (folder / line.split()[0]).mkdir(exist_ok=True)
        (folder / line.split()[0] / "stat").write_text(line)
    return folder


def test_busy_time_excludes_idle_waiting_and_steal_and_counts_guests_once() -> None:
    assert cpu_times_in(STAT) == CpuTimes(busy=1333, stolen=80, total=5913)


@pytest.mark.parametrize("text", ["", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h", "intr 1\n"])
def test_another_text_than_proc_stat_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"values to unpack|invalid literal|does not begin"):
        cpu_times_in(text)


@pytest.mark.parametrize("name", ["python", "a b c", ") S 1 9 9 (", "((", "7 (x)"])
def test_a_process_counts_with_its_ended_children_whatever_its_name(name: str) -> None:
    assert ticks_in(process(7, (1, 20, 300, 4000), name)) == 4321


def test_a_reading_sums_the_processes_of_this_session_only(tmp_path: Path) -> None:
    texts = [process(10, (5, 5, 0, 0)), process(11, (7, 0, 1, 0)), process(17, (99,) * 4), process(20, (99,) * 4)]
    folder = proc(tmp_path, STAT, *texts)
    (folder / "13").mkdir()
    assert read_cpu(folder, session_of) == CpuReading(HOST, CpuTimes(1333, 80, 5913), own=18)


@pytest.mark.parametrize("broken", ["stat", "10/stat"])
def test_malformed_files_in_proc_give_no_reading(tmp_path: Path, broken: str) -> None:
    folder = proc(tmp_path, STAT, process(10, (5, 5, 0, 0)))
    (folder / broken).write_text("nonsense")
    assert read_cpu(folder, session_of) is None


@pytest.mark.parametrize("missing", ["stat", "sys/kernel/random/boot_id"])
def test_missing_files_of_the_host_give_no_reading(tmp_path: Path, missing: str) -> None:
    folder = proc(tmp_path, STAT, process(10, (5, 5, 0, 0)))
    (folder / missing).unlink()
    assert read_cpu(folder, session_of) is None


def test_this_machine_is_read_and_this_process_counted() -> None:
    before = read_cpu()
    while (after := read_cpu()) is not None and before is not None and after.own - before.own < 3:
        sum(range(100_000))
    passed = cpu_delta(before, after)
    assert passed is not None
    assert passed.total > 0
    assert passed.own >= 3


def at(busy: int, stolen: int, total: int, own: int, host: str = HOST) -> CpuReading:
    return CpuReading(host, CpuTimes(busy, stolen, total), own)


def test_a_delta_is_the_difference_of_two_readings() -> None:
    assert cpu_delta(at(100, 5, 1000, 40), at(180, 6, 1200, 90)) == CpuDelta(HOST, busy=80, stolen=1, total=200, own=50)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        (None, at(1, 0, 2, 0)),
        (at(1, 0, 2, 0), None),
        (None, None),
        (at(5, 0, 10, 0), at(5, 0, 10, 0)),
        (at(0, 0, 0, 0), at(0, 0, 0, 9)),
    ],
    ids=["no opening", "no closing", "neither", "no time passed", "a kernel that counts no time"],
)
def test_there_is_no_delta_without_two_readings_and_time_between_them(
    opening: CpuReading | None, closing: CpuReading | None
) -> None:
    assert cpu_delta(opening, closing) is None


def test_a_loader_process_that_ended_unreaped_counts_as_another_process_and_is_never_negative() -> None:
    passed = cpu_delta(at(100, 0, 1000, 500), at(300, 0, 1400, 100))
    assert passed == CpuDelta(HOST, busy=200, stolen=0, total=400, own=0)


SITUATIONS: list[tuple[str, list[CpuDelta | None], HostLoad | None]] = [
    ("no rank can read", [None, None], None),
    ("alone", [CpuDelta("a", 100, 0, 200, 100)], HostLoad(0.0, 0.0)),
    ("another process", [CpuDelta("a", 100, 0, 200, 80)], HostLoad(0.1, 0.0)),
    ("a hypervisor", [CpuDelta("a", 100, 30, 200, 100)], HostLoad(0.0, 0.15)),
    (
        "two ranks on one host are not other processes to each other",
        [CpuDelta("a", 100, 0, 200, 60), CpuDelta("a", 101, 0, 200, 40)],
        HostLoad(0, 0),
    ),
    (
        "two ranks and another process",
        [CpuDelta("a", 120, 0, 200, 60), CpuDelta("a", 121, 0, 200, 40)],
        HostLoad(0.1, 0.0),
    ),
    ("the worst host counts", [CpuDelta("a", 100, 0, 200, 100), CpuDelta("b", 100, 2, 200, 50)], HostLoad(0.25, 0.01)),
    (
        "the worst of both together",
        [CpuDelta("a", 120, 0, 200, 100), CpuDelta("b", 100, 40, 200, 100)],
        HostLoad(0.0, 0.2),
    ),
    (
        "ranks of two hosts in any order",
        [CpuDelta("b", 9, 0, 10, 4), CpuDelta("a", 5, 0, 10, 5), CpuDelta("b", 9, 0, 10, 5)],
        HostLoad(0, 0),
    ),
    ("more own ticks than busy ticks", [CpuDelta("a", 100, 0, 200, 103)], HostLoad(0.0, 0.0)),
    ("one host readable, the other not", [None, CpuDelta("b", 100, 0, 200, 50)], HostLoad(0.25, 0.0)),
]


@pytest.mark.parametrize(("deltas", "expected"), [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS])
def test_the_load_is_that_of_the_most_disturbed_host(deltas: list[CpuDelta | None], expected: HostLoad | None) -> None:
    found = worst_load(deltas)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found.foreign == pytest.approx(expected.foreign, abs=1e-9)
        assert found.steal == pytest.approx(expected.steal, abs=1e-9)
        assert found.taken == pytest.approx(expected.foreign + expected.steal, abs=1e-9)
