"""Checks that an API server outage changes nothing except when things happen."""

import threading
import time

from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import condition
from testkit.server.examples import CreateBenchmark

CONVERGED_SECONDS = 60
NAMES = ("ends-meanwhile", "runs-on", "waits")


def recovery_after_an_outage(place: OperatorNamespace, create_benchmark: CreateBenchmark, seconds: float) -> float:
    """Stops the API server for `seconds`; returns how many seconds after its return every Benchmark had ended well.

    There are three: one ends during the outage, one keeps running, one is created right after it. Fails after a minute.
    """
    meanwhile = threading.Event()

    def script(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if meanwhile.is_set() else None

    process = place.operator.process
    with Player(place.plane.kubeconfig, place.namespace, script):
        for name in NAMES[:2]:
            create_benchmark(name)
        until(lambda: running(place) == set(NAMES[:2]), SECONDS, "both to run")
    with place.plane.without_api_server():
        time.sleep(seconds)  # The outage itself: there is nothing to wait for.
        assert process.poll() is None, place.operator.log_tail()
        assert place.operator.answer("/healthz")[0] == 200
    returned = time.monotonic()
    meanwhile.set()
    with Player(place.plane.kubeconfig, place.namespace, script) as player:
        create_benchmark(NAMES[2])
        for name in NAMES:
            wait_for_the_end(place, name)
    taken = time.monotonic() - returned
    assert process.poll() is None
    for name in NAMES:
        rows = place.benchmark(name)["status"]["trials"]
        assert [(row["phase"], row["attempt"], row["failures"]) for row in rows] == [("Succeeded", 1, 0)] * 2
    assert len(player.jobs) == 2 * len(NAMES)
    return taken


def running(place: OperatorNamespace) -> set[str]:
    """The Benchmarks that have a running Trial."""
    return {name for name in NAMES[:2] if any(row["phase"] == "Running" for row in rows(place, name))}


def rows(place: OperatorNamespace, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = place.benchmark(name).get("status", {}).get("trials", [])
    return found


def wait_for_the_end(place: OperatorNamespace, name: str) -> None:
    def cleaned_up() -> bool:
        return condition(place.benchmark(name), "CleanedUp").get("status") == "True"

    until(cleaned_up, CONVERGED_SECONDS, f"{name}; {place.operator.log_tail()}")
