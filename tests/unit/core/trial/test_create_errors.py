"""Tests what happens to a row whose job the cluster rejects."""

from typing import Any

import pytest

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.trial.create_errors import CreateError, row_after_create_error
from unit.core.worlds import NOON, benchmark, snapshot

NO_PERMISSION = '403: pytorchjobs.kubeflow.org is forbidden: User "operator" cannot create resource "pytorchjobs"'
QUOTA = '403: pytorchjobs.kubeflow.org "x" is forbidden: exceeded quota: jobs, requested: count/pytorchjobs=1'
NAMED_QUOTA = '403: pytorchjobs.kubeflow.org "quota-0a1b2-0-1" is forbidden: unknown team'
QUOTA_WEBHOOK = '403: admission webhook "gpu-quota.policies.example" denied the request: team has exceeded quota: 8'
NEW_QUOTA = '403: pytorchjobs.kubeflow.org "x" is forbidden: status unknown for quota: jobs, resources: count'
WEBHOOK = '403: admission webhook "policies.example" denied the request: no team label'
POLICY = "422: ValidatingAdmissionPolicy 'teams' with binding 'teams' denied request: no team label"
INVALID = '422: PyTorchJob.kubeflow.org "x" is invalid: spec.runPolicy.backoffLimit: Invalid value'
DOWN = '500: failed calling webhook "validator.pytorchjob.training-operator.kubeflow.org": connection refused'

REJECTIONS: list[tuple[str, CreateError, str, Reason | None, Scope | None]] = [
    ("no permission", CreateError.FORBIDDEN, NO_PERMISSION, None, None),
    ("a quota of objects", CreateError.FORBIDDEN, QUOTA, None, None),
    ("a quota that is new", CreateError.FORBIDDEN, NEW_QUOTA, None, None),
    ("a job that is called quota", CreateError.FORBIDDEN, NAMED_QUOTA, Reason.PODS_FORBIDDEN, Scope.POINT),
    ("a webhook that is called quota", CreateError.FORBIDDEN, QUOTA_WEBHOOK, Reason.PODS_FORBIDDEN, Scope.POINT),
    ("a webhook's policy", CreateError.FORBIDDEN, WEBHOOK, Reason.PODS_FORBIDDEN, Scope.POINT),
    ("an admission policy", CreateError.INVALID, POLICY, Reason.PODS_FORBIDDEN, Scope.POINT),
    ("another CRD", CreateError.INVALID, INVALID, Reason.CONFIG_INVALID, Scope.SWEEP),
    ("a webhook that is down", CreateError.UNANSWERED, DOWN, None, None),
]


def row(**changes: Any) -> TrialRow:
    starting = {"phase": TrialPhase.STARTING, "attempt": 1, "job": "tiny-0a1b2-0-1", "queued_at": NOON, **changes}
    return TrialRow(trial=0, point="devices=1", devices=1, repeat=0, **starting)


@pytest.mark.parametrize(
    ("kind", "said", "reason", "scope"), [r[1:] for r in REJECTIONS], ids=[r[0] for r in REJECTIONS]
)
def test_a_rejection_shows_at_once_and_only_a_permanent_one_ends_the_row(
    kind: CreateError, said: str, reason: Reason | None, scope: Scope | None
) -> None:
    early = row_after_create_error(row(), kind, said, snapshot(benchmark(), seconds=59))
    assert (early.phase, early.reason) == (TrialPhase.STARTING, None)
    assert said in early.message
    late = row_after_create_error(early, kind, said, snapshot(benchmark(), seconds=60))
    assert late.phase is (TrialPhase.STARTING if reason is None else TrialPhase.FAILED)
    assert (late.reason, late.scope) == (reason, scope)
    assert said in late.message


def test_the_same_rejection_again_changes_nothing() -> None:
    once = row_after_create_error(row(), CreateError.FORBIDDEN, WEBHOOK, snapshot(benchmark(), seconds=1))
    assert row_after_create_error(once, CreateError.FORBIDDEN, WEBHOOK, snapshot(benchmark(), seconds=9)) == once
