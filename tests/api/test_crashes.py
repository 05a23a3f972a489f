"""Does a SIGKILL of the operator, at whichever point, change anything of the answer or of what was run?"""

from pathlib import Path
from typing import Any

import pytest

from api.operating import OperatorProcess, condition, read
from api.played import Player
from api.proxied import CRASHES, Crash, KillingProxy
from api.questions import Asked
from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until

pytest_plugins = ["api.places"]

UNDISTURBED = Crash("never", "NONE", "", after=False)
SECONDS = 90


@pytest.mark.parametrize("crash", [UNDISTURBED, *CRASHES], ids=lambda crash: str(crash.name))
def test_a_killed_operator_changes_nothing(
    plane: ControlPlane, namespace: str, kubeconfig: Path, asked: Asked, tmp_path: Path, crash: Crash
) -> None:
    victims: list[OperatorProcess] = []
    with (
        Player(plane.kubeconfig, namespace) as player,
        KillingProxy(kubeconfig, crash, kill=lambda: victims[0].kill()) as proxy,
        OperatorProcess(proxy.kubeconfig, namespace, tmp_path / "killed.log") as operator,
    ):
        victims.append(operator)
        asked()
        if crash is not UNDISTURBED:
            assert proxy.killed.wait(SECONDS), operator.said()
            operator.process.wait(10)
            with OperatorProcess(kubeconfig, namespace, tmp_path / "second.log"):
                done = cleaned_up(plane, namespace)
        else:
            done = cleaned_up(plane, namespace)
        pods = read(plane, namespace, "pods")["items"]
    assert_undisturbed(done, player)
    assert not [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]


def test_a_second_operator_by_mistake_changes_nothing(
    plane: ControlPlane, namespace: str, kubeconfig: Path, asked: Asked, tmp_path: Path
) -> None:
    with (
        Player(plane.kubeconfig, namespace) as player,
        OperatorProcess(kubeconfig, namespace, tmp_path / "one.log"),
        OperatorProcess(kubeconfig, namespace, tmp_path / "other.log"),
    ):
        asked()
        assert_undisturbed(cleaned_up(plane, namespace), player)


def assert_undisturbed(done: dict[str, Any], player: Player) -> None:
    """The answer is the usual one, and each Trial had one job, of the UID in its row, and one set of pods."""
    assert answer(done) == EXPECTED
    prefix = f"tiny-{done['metadata']['uid'][:5]}"
    assert sorted(player.jobs) == [f"{prefix}-0-1", f"{prefix}-1-1"]
    assert sorted(player.pods) == [f"{prefix}-0-1-master-0", f"{prefix}-1-1-master-0", f"{prefix}-1-1-worker-0"]
    assert [row["jobUID"] for row in done["status"]["trials"]] == [player.jobs[name] for name in sorted(player.jobs)]


EXPECTED = {
    "phase": "Succeeded",
    "trials": [
        ("devices=1", "Succeeded", 1, 0, "Measured", "10"),
        ("devices=2", "Succeeded", 1, 0, "Measured", "18"),
    ],
    "points": [("devices=1", "10", "1"), ("devices=2", "18", "0.9")],
}
"""What the undisturbed run shows, too: it is the first case."""


def answer(benchmark: dict[str, Any]) -> dict[str, Any]:
    """What must not differ: everything but names, UIDs and times."""
    status = benchmark["status"]
    return {
        "phase": status["phase"],
        "trials": [
            (*(row[key] for key in ("point", "phase", "attempt", "failures", "reason")), rate(row["measurement"]))
            for row in status["trials"]
        ],
        "points": [(row["point"], rate(row), short(row["scalingEfficiency"])) for row in status["points"]],
    }


def rate(row: dict[str, Any]) -> str:
    return short(row["imagesPerSecond"])


def short(number: str) -> str:
    return f"{float(number):g}"


def cleaned_up(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        one = read(plane, namespace, "sdb", "tiny")
        return one if condition(one, "CleanedUp").get("status") == "True" else None

    return until(found, SECONDS, "everything to be cleaned up")
