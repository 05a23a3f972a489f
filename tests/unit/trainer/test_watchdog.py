"""Tests which rank is blamed for a failure, and when a silent rank counts as stalled."""

import signal
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest

from sdbench_trainer.heartbeat import RECENT_STEPS, Heartbeat, Heartbeats, HeartbeatWriter, RankPhase
from sdbench_trainer.pod.watchdog import PEER_SECONDS, RankExit, code_of, find_stall, first_failure, stall_limit
from sdbench_trainer.report import ExitCode
from sdbench_trainer.run import Watchdog

LIMITS = Watchdog(rendezvous_seconds=20, first_step_seconds=30, stall_seconds=600)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((int(code), int(code)) for code in ExitCode if code),
        (1, ExitCode.BUG),
        (3, ExitCode.BUG),
        (-signal.SIGKILL, 137),
        (-signal.SIGTERM, 143),
        (-signal.SIGSEGV, 139),
        (-signal.SIGABRT, 134),
        (-signal.SIGBUS, ExitCode.SHARED_MEMORY_FULL),
    ],
)
def test_the_exit_status_of_a_rank_becomes_an_exit_code(status: int, code: int) -> None:
    assert code_of(status) == code


def test_only_an_aborted_rank_gets_its_code_from_its_last_words() -> None:
    words = "third_party/gloo/gloo/transport/tcp/pair.cc:446] op.preamble.length <= op.nbytes. 8 vs 4"
    assert code_of(-signal.SIGABRT, words) == ExitCode.COLLECTIVE_ERROR
    assert code_of(-signal.SIGABRT, "free(): invalid pointer") == 134
    assert code_of(-signal.SIGKILL, words) == 137


@pytest.mark.parametrize(
    ("codes", "blamed"),
    [
        ({0: 69, 1: 137}, 1),
        ({0: 70, 1: 137}, 1),
        ({0: 69, 1: 70}, 1),
        ({0: 137, 1: 67}, 1),
        ({0: 70, 1: 68}, 1),
        ({0: 68, 1: 68}, 0),
        ({2: 65, 1: 64}, 1),
        ({0: 69, 1: 69}, 0),
        ({0: 69, 1: 73}, 1),
        ({0: 73, 1: 70}, 1),
        ({0: 73, 1: 137}, 1),
        ({0: 73, 1: 67}, 1),
        ({0: 69, 1: 74}, 1),
    ],
)
def test_an_exit_that_names_a_cause_precedes_one_that_may_follow_from_another(
    codes: dict[int, int], blamed: int
) -> None:
    ends = [RankExit(rank, code, 0.0) for rank, code in codes.items()]
    found = first_failure(ends, now=0.1, running=0)
    assert found is not None
    assert found.rank == blamed


@pytest.mark.parametrize("code", [ExitCode.PEER_LOST, ExitCode.COLLECTIVE_ERROR, ExitCode.BUG])
def test_an_exit_that_may_follow_from_another_counts_only_after_a_wait(code: ExitCode) -> None:
    ends = [RankExit(0, code, 100.0)]
    assert first_failure(ends, now=100.5, running=1) is None
    assert first_failure([*ends, RankExit(1, 137, 101.0)], now=101.0, running=0) == RankExit(1, 137, 101.0)
    assert first_failure(ends, now=100.0 + PEER_SECONDS, running=1) == ends[0]


def test_without_an_exit_no_rank_is_blamed() -> None:
    assert first_failure([], now=0.0, running=2) is None


def beat(phase: RankPhase, at: float, steps: int = 0, median_step: float = 0.0) -> Heartbeat:
    return Heartbeat(phase, steps, 0.0, at, median_step)


@pytest.mark.parametrize(
    ("silent", "seconds", "code"),
    [
        (beat(RankPhase.RENDEZVOUS, 0.0), 24.0, None),
        (beat(RankPhase.RENDEZVOUS, 0.0), 26.0, ExitCode.RENDEZVOUS_TIMEOUT),
        (beat(RankPhase.GATHERING, 0.0), 124.0, None),
        (beat(RankPhase.GATHERING, 0.0), 126.0, ExitCode.RENDEZVOUS_TIMEOUT),
        (beat(RankPhase.SETTING_UP, 0.0), 29.0, None),
        (beat(RankPhase.SETTING_UP, 0.0), 31.0, ExitCode.STALLED),
        (beat(RankPhase.TRAINING, 0.0), 31.0, ExitCode.STALLED),
        (beat(RankPhase.TRAINING, 0.0, steps=5, median_step=0.1), 59.0, None),
        (beat(RankPhase.TRAINING, 0.0, steps=5, median_step=0.1), 61.0, ExitCode.STALLED),
        (beat(RankPhase.TRAINING, 0.0, steps=5, median_step=2.0), 199.0, None),
        (beat(RankPhase.TRAINING, 0.0, steps=5, median_step=2.0), 201.0, ExitCode.STALLED),
        (beat(RankPhase.FINISHING, 0.0, steps=5), 599.0, None),
    ],
)
def test_a_rank_that_is_silent_beyond_the_limit_of_its_phase_has_stalled(
    silent: Heartbeat, seconds: float, code: ExitCode | None
) -> None:
    found = find_stall([silent, None], LIMITS, now=seconds, start_seconds=100)
    assert (found.code if found else None) == code


def test_the_limit_of_a_step_is_a_multiple_of_the_median_step_within_bounds() -> None:
    assert stall_limit(beat(RankPhase.TRAINING, 0.0, 5, 100.0), LIMITS) == 600
    assert stall_limit(beat(RankPhase.TRAINING, 0.0, 5, 0.001), Watchdog(stall_seconds=10)) == 10


def test_the_silent_rank_that_is_furthest_behind_is_blamed() -> None:
    beats = [beat(RankPhase.TRAINING, 0.0, steps=7), beat(RankPhase.TRAINING, 0.5, steps=6)]
    found = find_stall(beats, LIMITS, now=10_000.0)
    assert found is not None
    assert found.local_rank == 1
    assert "step 6" in found.sentence


def test_within_a_step_the_rank_that_the_others_wait_for_is_blamed() -> None:
    waits, hangs = (
        Heartbeat(RankPhase.TRAINING, 7, 0.0, 0.0, 0.1, marks=2),
        Heartbeat(RankPhase.TRAINING, 7, 0.0, 0.5, 0.1, marks=1),
    )
    found = find_stall([waits, hangs], LIMITS, now=10_000.0)
    assert found is not None
    assert (found.local_rank, found.beat.progress) == (1, (RankPhase.TRAINING, 7, 1))


def test_a_mark_counts_within_its_step_but_not_as_progress(tmp_path: Path) -> None:
    beats, pulse = Heartbeats(tmp_path / "beats", 2, now=1.0), HeartbeatWriter(tmp_path / "beats", 1)
    pulse.enter(RankPhase.SETTING_UP)
    before = beats.of(1)
    pulse.mark()
    pulse.mark()
    assert beats.of(1) == replace(before, marks=2)
    pulse.step()
    assert beats.of(1).progress == (RankPhase.SETTING_UP, 1, 0)
    pulse.mark()
    assert (beats.of(1).progress, beats.of(0).progress) == ((RankPhase.SETTING_UP, 1, 1), (RankPhase.STARTING, 0, 0))


def test_pid_1_reads_what_a_rank_writes(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("beats") / "beats"
    beats = Heartbeats(path, 2, now=1.0)
    assert beats.of(1) == Heartbeat(RankPhase.STARTING, 0, 0.0, 1.0, 0.0)
    pulse = HeartbeatWriter(path, 1)
    pulse.enter(RankPhase.SETTING_UP)
    began = beats.of(1).at
    pulse.enter(RankPhase.TRAINING)
    assert beats.of(1) == Heartbeat(RankPhase.TRAINING, 0, 0.0, began, 0.0)
    pulse.step()
    pulse.step()
    seen = beats.of(1)
    assert seen.steps == 2
    assert began <= seen.first_step_at <= seen.at
    assert seen.median_step == pytest.approx(seen.at - seen.first_step_at)
    assert beats.of(0).phase is RankPhase.STARTING


def test_the_median_step_covers_the_last_steps_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [*[1.0] * 40, *[2.0] * (RECENT_STEPS // 2 + 1)]
    moments = accumulate([100.0, *seconds])
    beats, pulse = Heartbeats(tmp_path / "beats", 1, now=1.0), HeartbeatWriter(tmp_path / "beats", 0)
    monkeypatch.setattr("sdbench_trainer.heartbeat.time.monotonic", lambda: next(moments))
    medians = []
    for _ in range(len(seconds) + 1):
        pulse.step()
        medians.append(beats.of(0).median_step)
    assert (medians[0], medians[1], medians[-2], medians[-1]) == (0.0, 1.0, 1.0, 2.0)
    assert beats.of(0).steps == len(seconds) + 1
