"""Tests the Report of ranks that disagree, with real ranks and gloo in one pod and in two."""

import pytest

from sdbench_trainer.pod.topology import free_port
from sdbench_trainer.report import ExitCode
from trainer.launching import launched, launching, pod, program, run_config

TWO = run_config(devices=2)


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("shapes", ExitCode.COLLECTIVE_ERROR, "op.preamble.length <= op.nbytes. 8 vs 4"),
        (
            "devices",
            ExitCode.MIXED_DEVICES,
            "1 of 2 have NVIDIA A100, first rank 0; 1 of 2 have NVIDIA H100, first rank 1",
        ),
    ],
)
def test_ranks_that_disagree_end_their_pod_with_an_exit_code_of_its_own(what: str, code: ExitCode, words: str) -> None:
    ended = launched(TWO, *program("collectives", what))
    assert ended.code == ended.error_code == code, ended.output
    assert words in ended.tail.splitlines()[-1]
    assert ended.report is not None
    assert ended.report.error is not None
    assert ended.report.error.where == "preparing data and model"


def test_the_pod_that_disagrees_reports_the_cause_and_the_other_a_lost_peer() -> None:
    port, command = free_port(), program("collectives", "shapes")
    with launching(TWO, *command, **pod(0, port)) as master, launching(TWO, *command, **pod(1, port)) as worker:
        codes = master.ended().code, worker.ended().code
    assert codes == (ExitCode.PEER_LOST, ExitCode.COLLECTIVE_ERROR)
