"""Tests the metrics of a running trainer, and how runs end whose ranks or pods are killed, hang or never start."""

import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.heartbeat import RankPhase
from sdbench_trainer.measure.flops import flops_per_image
from sdbench_trainer.pod.topology import free_port
from sdbench_trainer.report import ExitCode
from trainer.launching import PROGRAMS, Launch, launched, launching, pod, run_config

LONG = {"globalBatchSize": 4, "window": {"warmupBatches": 1, "batches": 100_000}}


def scraped(port: int) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def rank_process(launch: Launch, rank: int) -> int:
    """The process id of a rank, found by its environment."""
    pid = launch.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (found,) = (child for child in children if f"RANK={rank}\0" in _environment(child).replace("_RANK=", "_rank="))
    return int(found)


def _environment(pid: str) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def test_metrics_are_served_before_the_first_step_and_a_killed_rank_is_blamed() -> None:
    port, config = free_port(), run_config(2, LONG, peakTeraflops="0.5")
    with launching(config, SDBENCH_METRICS_PORT=str(port)) as launch:
        launch.wait_for(lambda: scraped(port) != {}, "metrics")
        assert scraped(port)["sdbench_build_info"] == 1
        launch.wait_for(lambda: scraped(port).get("sdbench_window_state") == 1, "an open window")
        launch.wait_for(lambda: scraped(port)["sdbench_images_total"] >= 40, "forty images")
        seen = scraped(port)
        assert seen["sdbench_images_total"] == 4 * seen["sdbench_step_duration_seconds_count"]
        assert seen["sdbench_images_per_second"] > 0
        assert 0 < seen["sdbench_loss"] < 10
        assert "sdbench_device_memory_peak_bytes" not in seen
        assert seen["sdbench_host_memory_peak_bytes"] > 100 * 2**20
        flop = flops_per_image(TrainerConfig.model_validate(config["trainer"]))
        assert seen["sdbench_mfu_ratio"] == pytest.approx(flop * seen["sdbench_images_per_second"] / (2 * 0.5e12))
        os.kill(rank_process(launch, 1), signal.SIGKILL)
        ended = launch.ended()
    assert ended.code == 137, ended.output
    assert ended.report is not None
    assert ended.report.error is not None
    assert (ended.report.error.rank, ended.report.error.where) == (1, "training")
    assert ended.report.measurement is None


def test_the_real_trainer_ends_within_the_grace_period_of_a_pod() -> None:
    with launching(run_config(1, LONG)) as launch:
        launch.wait_for_output("launch: step")
        launch.process.send_signal(signal.SIGTERM)
        launch.process.wait(10)
        assert launch.ended().error_code == 143


def test_a_pod_that_lost_another_pod_exits_69() -> None:
    port, config = free_port(), run_config(2, LONG)
    with launching(config, **pod(0, port)) as master, launching(config, **pod(1, port)) as worker:
        master.wait_for_output("launch: step")
        os.kill(worker.process.pid, signal.SIGKILL)
        ended = master.ended()
    assert ended.code == ended.error_code == ExitCode.PEER_LOST, ended.output


def test_two_pods_that_hang_report_their_progress_and_the_one_in_its_forward_pass_has_less() -> None:
    port, limits = free_port(), {"rendezvousSeconds": 300, "firstStepSeconds": 300, "stallSeconds": 5}
    config, hangs = run_config(2, LONG, watchdog=limits), (sys.executable, str(PROGRAMS / "hanging.py"))
    with launching(config, *hangs, **pod(0, port)) as master, launching(config, *hangs, **pod(1, port)) as worker:
        ended = [one.ended() for one in (master, worker)]
    assert [one.code for one in ended] == [ExitCode.STALLED] * 2, ended
    places = [one.report.error.progress for one in ended if one.report is not None and one.report.error is not None]
    assert places == [(RankPhase.TRAINING, 5, 2), (RankPhase.TRAINING, 5, 1)]


SHORT_LIMITS = {"rendezvousSeconds": 5, "firstStepSeconds": 300, "stallSeconds": 300}


def test_a_pod_whose_peers_never_start_waits_for_them_exits_66_and_lists_the_missing_ranks() -> None:
    ended = launched(run_config(2, watchdog=SHORT_LIMITS), **pod(0, free_port()), SDBENCH_START_SECONDS="3")
    assert ended.code == ended.error_code == ExitCode.RENDEZVOUS_TIMEOUT, ended.output
    assert "Not all of 2 ranks joined within 8 s; missing: 1." in ended.tail


def test_a_pod_that_does_not_reach_the_master_exits_66_without_waiting_for_other_pods() -> None:
    port = free_port()
    ended = launched(run_config(2, watchdog=SHORT_LIMITS), **pod(1, port), SDBENCH_START_SECONDS="3000")
    assert ended.code == ended.error_code == ExitCode.RENDEZVOUS_TIMEOUT, ended.output
    assert f"Rank 0 was not reached at 127.0.0.1:{port} within 5 s" in ended.tail
