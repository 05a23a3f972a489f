"""Builds an Attempt of two pods with one device each, and diagnoses its end."""

from datetime import timedelta
from typing import Any

from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.diagnose import Diagnosis, diagnose
from sdbench.core.plan.grid import plan
from sdbench.core.snapshot import AttemptState
from unit.core.worlds import NOON, attempt, pod, spec

IMAGE = "registry.example/trainer:1"
NAME = "tiny-0a1b2-0-1"
ASKED = spec(devices={"counts": [2], "perPod": 1}, data={"remote": "s3://bucket/shards", "credentialsSecret": "s3"})
TRIAL = plan(ASKED)[0]
RUNNING = attempt(pod(0), pod(1))


def end_of(state: AttemptState, seconds: float = 10, **row: Any) -> Diagnosis | None:
    before = {"phase": TrialPhase.RUNNING, "attempt": 1, "job": NAME, "job_uid": "job-0-1", **row}
    live = TrialRow(trial=0, point="devices=2", devices=2, repeat=0, **before)
    return diagnose(live, state, TRIAL, ASKED, IMAGE, NOON + timedelta(seconds=seconds))
