"""Tests that every right of the chart is needed and none is missing: each is taken away.

One short scenario for each right, all side by side, each in a namespace of its own: `asked` is run until its job is
stuck and then suspended, `haunted` finds a pod without a job, `over` is deleted when it has ended. The API server's
audit log says who was allowed what.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from harness.control_plane import kubeconfig
from harness.control_plane.audit import Request
from harness.control_plane.components import ControlPlane
from harness.failure import HarnessError
from harness.polling import until
from sdbench.api.names import ATTEMPT_LABEL, BENCHMARK_LABEL, BENCHMARK_UID_LABEL, GROUP, PLURAL, TRIAL_LABEL
from sdbench.controller.apiserver.rbac import rights
from sdbench.controller.apiserver.requests import JOB_GROUP, JOBS, OWNING, Right
from testkit.operators.forked_operator import ForkedOperator, forked
from testkit.operators.operator_process import condition
from testkit.server.accounts import ACCOUNT, account, rendered, rules, weakened
from testkit.server.audit_log import AuditedControlPlane
from testkit.server.examples import example_benchmark

SECONDS = 120
ALL = rights()
NAMES = {right: f"without-{right.verb}-{right.resource.replace('/', '-')}"[:60] for right in ALL}
COMPLETE = "with-everything"
EVENTS = Right("", "events", "list")

ERRORS = 'sdbench_operator_reconcile_errors_total{reason="Forbidden"}'

SHOWN_BY = {OWNING[0]: Right(JOB_GROUP, JOBS, "create")}
"""The request that is refused without a right, for rights that have no request of their own."""


class Stage:
    """One namespace, with its own operator, for each missing right."""

    def __init__(self, audited: AuditedControlPlane, folder: Path) -> None:
        self._audited, self._folder = audited, folder
        self._api = config.new_client_from_config(str(audited.plane.kubeconfig))
        self.operators: dict[str, ForkedOperator] = {}

    def set_up(self) -> None:
        """Creates namespaces, accounts and Benchmarks, then starts the operators."""
        plane = self._audited.plane
        namespaces = (COMPLETE, *NAMES.values())
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces]
        _apply(plane, made)
        _apply(plane, [one for right, name in ((None, COMPLETE), *NAMES.items()) for one in _objects(name, right)])
        for name in namespaces:
            self.operators[name] = forked(self._kubeconfig(name), name, self._folder / f"{name}.log")

    def suspend(self) -> None:
        """Waits for the running Benchmarks, and deletes their jobs."""
        objects = client.CustomObjectsApi(self._api)
        for name in self.operators:
            body = {"spec": {"suspend": True}}
            objects.patch_namespaced_custom_object(GROUP, "v1alpha1", name, PLURAL, "asked", body)

    def suspended(self, namespace: str) -> bool:
        """Whether nothing of the running Benchmark runs any more."""
        objects = client.CustomObjectsApi(self._api)
        asked = objects.get_namespaced_custom_object(GROUP, "v1alpha1", namespace, PLURAL, "asked")
        jobs = objects.list_namespaced_custom_object(JOB_GROUP, "v1", namespace, JOBS)["items"]
        return condition(asked, "Suspended").get("status") == "True" and not jobs

    def requests(self, namespace: str, right: Right, refused: bool) -> tuple[Request, ...]:
        """The requests that need this right, refused or granted."""
        return tuple(
            one
            for one in self._audited.requests_of(namespace)
            if (one.group, one.resource, one.verb) == (right.group, right.resource, right.verb)
            and (one.code == 403) is refused
        )

    def refused(self, namespace: str) -> set[Right]:
        """Every right whose absence refused a request."""
        asked = self._audited.requests_of(namespace)
        return {Right(one.group, one.resource, one.verb) for one in asked if one.code == 403}

    def granted(self, namespace: str) -> set[Right]:
        """Every right that a request used, even if its object did not exist."""
        asked = self._audited.requests_of(namespace)
        return {Right(one.group, one.resource, one.verb) for one in asked if 0 < one.code != 403}

    def _kubeconfig(self, namespace: str) -> Path:
        body = {"spec": {"expirationSeconds": 3600}}
        core, plane = client.CoreV1Api(self._api), self._audited.plane
        token = core.create_namespaced_service_account_token(ACCOUNT, namespace, body).status.token
        path = self._folder / f"{namespace}.kubeconfig"
        return kubeconfig.with_token(path, plane.server, plane.authority.certificate, token, namespace)


def _objects(namespace: str, without: Right | None) -> Iterator[dict[str, Any]]:
    """Creates the account with its rights, and the Benchmarks."""
    for one in rendered(namespace, everywhere=False):
        yield weakened(one, without) if without is not None else one
    one_device = example_benchmark()["spec"]["devices"] | {"counts": [1]}
    over = {"cancel": True, "ttlSecondsAfterFinished": 0}
    for name, spec in (("asked", {}), ("haunted", {}), ("over", over)):
        document = example_benchmark(name, devices=one_device, **spec)
        document["metadata"]["namespace"] = namespace
        yield document
    yield _ghost(namespace)


def _ghost(namespace: str) -> dict[str, Any]:
    """A pod without a job, as after an interrupted deletion."""
    uid = "00000000-0000-4000-8000-000000000000"
    labels = {BENCHMARK_LABEL: "haunted", BENCHMARK_UID_LABEL: uid, TRIAL_LABEL: "0", ATTEMPT_LABEL: "1"}
    container = {"name": "pytorch", "image": "x"}
    metadata = {"name": "ghost", "namespace": namespace, "labels": labels}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _apply(plane: ControlPlane, items: list[dict[str, Any]]) -> None:
    plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


@pytest.fixture(scope="module")
def stage(audited_plane: AuditedControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Checks the requests after the scenario."""
    stage = Stage(audited_plane, tmp_path_factory.mktemp("rights"))
    try:
        stage.set_up()
        until(lambda: bool(stage.requests(COMPLETE, EVENTS, refused=False)), SECONDS, "Events to be read")
        until(lambda: bool(stage.refused(NAMES[EVENTS])), SECONDS, "Events to be refused")
        stage.suspend()
        yield stage
    finally:
        for operator in stage.operators.values():
            operator.kill()


def test_with_the_rendered_rights_every_call_is_allowed_and_every_right_is_used(stage: Stage) -> None:
    wanted = set(ALL) - set(OWNING)
    with suppress(HarnessError):
        until(lambda: wanted <= stage.granted(COMPLETE), SECONDS, "every right to be used")
    assert stage.granted(COMPLETE) == wanted
    assert stage.refused(COMPLETE) == set()


@pytest.mark.parametrize("right", ALL, ids=lambda right: NAMES[right])
def test_without_a_right_one_call_fails_and_the_operator_stays(stage: Stage, right: Right) -> None:
    expected, operator = SHOWN_BY.get(right, right), stage.operators[NAMES[right]]
    until(lambda: bool(stage.requests(NAMES[right], expected, refused=True)), SECONDS, f"{expected} to be refused")
    assert stage.refused(NAMES[right]) == {expected}
    assert operator.process.is_alive(), operator.log_tail()
    assert operator.answer("/healthz")[0] == 200


def test_a_stuck_attempt_can_be_suspended_without_the_right_to_read_events(stage: Stage) -> None:
    namespace = NAMES[EVENTS]
    until(lambda: stage.suspended(namespace), SECONDS, "the suspension to take effect")
    log = stage.operators[namespace].log.read_text()
    assert log.count("no Events can be read") == 1
    assert "the pass failed" not in log
    metrics = stage.operators[namespace].answer("/metrics")[1]
    (counted,) = (line for line in metrics.splitlines() if line.startswith(ERRORS))
    assert float(counted.split()[-1]) > 0


@pytest.mark.parametrize("everywhere", [False, True], ids=["in-its-namespace", "everywhere"])
def test_the_rendered_roles_hold_what_the_calls_need_and_nothing_else(everywhere: bool) -> None:
    assert sorted(rules("lab", everywhere), key=repr) == sorted(ALL, key=repr)


def test_an_account_of_one_namespace_has_no_right_elsewhere(audited_plane: AuditedControlPlane, stage: Stage) -> None:
    path = account(audited_plane.plane, COMPLETE)
    mine = client.AuthorizationV1Api(config.new_client_from_config(str(path)))
    for right in ALL:
        resource, _, subresource = right.resource.partition("/")
        place = {"group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb}
        for namespace, allowed in ((COMPLETE, True), ("default", False)):
            body = {"spec": {"resourceAttributes": place | {"namespace": namespace}}}
            assert mine.create_self_subject_access_review(body).status.allowed is allowed, (right, namespace)
