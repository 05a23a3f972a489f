"""Tests every exit code of PID 1, its signals and its orphans, with ranks without torch."""

import os
import select
import signal
import sys

import pytest

from sdbench_trainer.heartbeat import RankPhase
from sdbench_trainer.report import ExitCode
from sdbench_trainer.run import START_VARIABLE
from trainer.launching import alive, launched, launching, run_config, stub

TWO = run_config(devices=2)
SHORT_LIMITS = {"rendezvousSeconds": 5, "firstStepSeconds": 5, "stallSeconds": 5}


def test_a_successful_run_leaves_the_result_of_rank_zero_and_exits_0() -> None:
    ended = launched(run_config(devices=2), *stub("all:result"))
    assert ended.code == ExitCode.OK, ended.output
    assert ended.report is not None
    assert ended.report.attempt == "test-1"
    assert ended.report.batch is not None
    assert ended.report.error is None


def test_a_successful_pod_without_rank_zero_leaves_no_report() -> None:
    pod = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": "1"}
    ended = launched(TWO, *stub("all:result"), **pod, PET_MASTER_ADDR="master", PET_MASTER_PORT="1")
    assert (ended.code, ended.report) == (ExitCode.OK, None)


@pytest.mark.parametrize(
    ("ranks", "code", "blamed"),
    [
        (["1:exit=65"], 65, 1),
        (["1:exit=66"], 66, 1),
        (["1:exit=67"], 67, 1),
        (["1:exit=68"], 68, 1),
        (["1:exit=72"], 72, 1),
        (["1:exit=70", "0:exit=69"], 70, 1),
        (["0:exit=69", "1:exit=1"], 70, 1),
        (["1:exit=73"], 73, 1),
        (["0:exit=69", "1:after=1", "1:exit=73"], 73, 1),
        (["1:exit=74"], 74, 1),
        (["0:exit=73", "1:after=1", "1:kill=SIGKILL"], 137, 1),
        (["1:kill=SIGKILL"], 137, 1),
        (["1:kill=SIGTERM"], 143, 1),
        (["1:kill=SIGSEGV"], 139, 1),
        (["1:kill=SIGBUS"], 72, 1),
        (["0:exit=69", "1:after=1", "1:kill=SIGKILL"], 137, 1),
        (["0:exit=69", "1:after=1", "1:exit=67"], 67, 1),
        (["0:exit=69"], 69, 0),
        (["0:exit=0", "1:exit=0"], 70, 0),
    ],
)
def test_the_exit_code_and_the_rank_are_those_of_the_first_cause(ranks: list[str], code: int, blamed: int) -> None:
    ended = launched(TWO, *stub(*ranks))
    assert ended.code == code, ended.output
    assert ended.report is not None
    assert ended.report.error is not None
    assert (ended.report.error.code, ended.report.error.rank) == (code, blamed)


def test_a_failure_that_all_ranks_find_at_once_is_reported_by_one_of_them() -> None:
    ended = launched(TWO, *stub("all:exit=74"))
    assert ended.code == ended.error_code == ExitCode.MIXED_DEVICES
    assert ended.report is not None
    assert ended.report.error is not None
    assert ended.report.error.rank in (0, 1)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (run_config(trainer={"imageSize": 63}), "trainer.imageSize"),
        (run_config(devices=2, trainer={"globalBatchSize": 3}), "3 images do not divide over 2 devices"),
        (run_config(trainer={"precision": "amp_fp16"}), "trainer.precision"),
        ("{not json", "JSON"),
    ],
)
def test_a_wrong_configuration_exits_64_with_a_message_and_starts_no_rank(config: object, words: str) -> None:
    ended = launched(config, *stub("all:result"))  # type: ignore[arg-type]
    assert ended.code == ended.error_code == ExitCode.CONFIG_INVALID
    assert words in ended.tail
    assert "pid" not in ended.output


@pytest.mark.parametrize("behaviour", ["rendezvous", "gather"])
def test_ranks_that_never_meet_exit_66(behaviour: str) -> None:
    ended = launched(run_config(devices=2, watchdog=SHORT_LIMITS), *stub(f"all:{behaviour}"))
    assert ended.code == ended.error_code == ExitCode.RENDEZVOUS_TIMEOUT


def test_a_pod_waits_longer_for_pods_that_may_still_start_but_not_for_the_master() -> None:
    one = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "x"}
    waits = {**one, "PET_MASTER_PORT": "1", START_VARIABLE: "4"}
    gathers, connects = (
        launched(run_config(devices=2, watchdog=SHORT_LIMITS), *stub(f"all:{word}"), **waits)
        for word in ("gather", "rendezvous")
    )
    assert gathers.code == connects.code == ExitCode.RENDEZVOUS_TIMEOUT
    assert "The other ranks did not join for 14 s." in gathers.tail
    assert "The master was not reached for 10 s." in connects.tail


def test_a_run_without_a_first_step_exits_71() -> None:
    ended = launched(run_config(watchdog=SHORT_LIMITS), *stub("all:sleep"))
    assert ended.code == ended.error_code == ExitCode.STALLED
    assert "No first step" in ended.tail


def test_a_rank_that_stops_making_progress_exits_71_and_reports_its_stack() -> None:
    ended = launched(run_config(devices=2, watchdog=SHORT_LIMITS), *stub("0:steps", "1:step-then-hang"))
    assert ended.code == ended.error_code == ExitCode.STALLED
    assert ended.report is not None
    assert ended.report.error is not None
    assert (ended.report.error.rank, ended.report.error.where) == (1, "training")
    assert ended.report.error.progress == (RankPhase.TRAINING, 5, 0)
    assert "in sleep_for_ever" in ended.tail
    assert "No step after step 5 for 5 s." in ended.tail


def test_the_report_has_the_output_of_the_failed_rank_and_the_log_that_of_all_ranks() -> None:
    ended = launched(TWO, *stub("0:say=hello from zero", "0:exit=69", "1:say=the disk is on fire", "1:exit=70"))
    assert "the disk is on fire" in ended.tail
    lines = ended.output.splitlines()
    assert "hello from zero" in lines
    assert "[rank 1] the disk is on fire" in lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_pid_1_ends_all_ranks_and_exits_128_plus_its_number(number: signal.Signals) -> None:
    with launching(TWO, *stub("all:steps")) as launch:
        launch.wait_for_output("launch: step")
        ranks = launch.pids("pid")
        launch.process.send_signal(number)
        ended = launch.ended()
    assert ended.code == ended.error_code == 128 + number
    assert ended.tail == f"Stopped by {number.name}."
    assert not any(map(alive, ranks))


def test_ranks_that_ignore_sigterm_are_killed_within_the_grace_of_a_pod() -> None:
    with launching(TWO, *stub("all:ignore-term", "all:say=deaf", "all:steps")) as launch:
        launch.wait_for(lambda: launch.output().count("deaf") == 2, "both ranks deaf")
        launch.process.send_signal(signal.SIGTERM)
        launch.process.wait(10)
        ended = launch.ended()
        assert ended.code == 143
        assert not any(map(alive, launch.pids("pid")))


def test_the_child_processes_of_a_rank_end_with_it() -> None:
    with launching(TWO, *stub("0:sleep", "1:child", "1:exit=67")) as launch:
        assert launch.ended().code == 67
        children = set(launch.pids("child"))
        assert len(children) == 1
        assert not any(map(alive, children))


def test_no_rank_survives_a_sigkill_of_pid_1() -> None:
    with launching(TWO, *stub("all:steps")) as launch:
        launch.wait_for(lambda: len(launch.pids("pid")) == 2, "two ranks")
        ranks = launch.pids("pid")
        os.kill(launch.process.pid, signal.SIGKILL)
        launch.process.wait(10)
        for rank in ranks:
            descriptor = _opened(rank)
            if descriptor is not None:
                _wait_for_end(descriptor)
        assert not any(map(alive, ranks))


def _opened(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_end(descriptor: int) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    readable = ended.poll(10_000)
    os.close(descriptor)
    assert readable, "a rank outlived PID 1 by ten seconds"


def test_the_scratch_folder_is_empty_afterwards() -> None:
    with launching(TWO, *stub("all:exit=70")) as launch:
        launch.ended()
        assert list(launch.scratch.iterdir()) == []


def test_the_credentials_of_the_secret_reach_the_ranks_and_not_pid_1(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("secret")
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("s3cret")
    show = (
        "import os; print('key is', os.environ['AWS_SECRET_ACCESS_KEY']); "
        "print('pid 1 has it:', b's3cret' in open(f'/proc/{os.getppid()}/environ', 'rb').read())"
    )
    ended = launched(run_config(), sys.executable, "-c", show, SDBENCH_CREDENTIALS=str(folder))
    assert "key is s3cret" in ended.output
    assert "pid 1 has it: False" in ended.output


def test_the_report_is_written_into_the_existing_file() -> None:
    with launching(TWO, *stub("all:exit=70")) as launch:
        before = launch.report_file.stat().st_ino
        ended = launch.ended()
        assert launch.report_file.stat().st_ino == before
        assert ended.report is not None


def test_pid_1_imports_neither_torch_nor_composer() -> None:
    ended = launched("{", PYTHONPROFILEIMPORTTIME="1")
    assert ended.code == ExitCode.CONFIG_INVALID
    imported = {line.rpartition("|")[2].strip() for line in ended.output.splitlines() if line.startswith("import time")}
    assert "sdbench_trainer.launch" in imported or "pydantic" in imported
    assert not {"torch", "composer", "numpy", "streaming"} & imported
