"""Puts a Benchmark into the queue when it, one of its jobs or one of its pods changes: kopf's part.

Only `on.event` is used. kopf's timers, daemons and change handlers put finalizers and annotations on objects, and an
operator that was uninstalled must never block a deletion. An event says nothing but that it is time to look.
"""

import os
from collections.abc import Callable
from typing import Any

import kopf

from sdbench.api.names import BENCHMARK_LABEL, GROUP, PLURAL, VERSION
from sdbench.controller.apiserver.cluster import Key
from sdbench.controller.apiserver.requests import JOB_GROUP, JOBS
from sdbench.controller.cache import is_over

Seen = Callable[[Key], None]


def registry(seen: Seen, served: frozenset[str]) -> kopf.OperatorRegistry:
    """The handlers for what is served: each calls `seen` with the key of the Benchmark that an event concerns."""
    handlers = kopf.OperatorRegistry()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    login: Any = kopf.login_with_service_account if in_cluster else kopf.login_with_kubeconfig
    kopf.on.login(registry=handlers)(login)

    def benchmark_changed(name: str | None, namespace: str | None, body: kopf.Body, type: str | None, **_: Any) -> None:
        # A list, which has no types, names everything; what is over and has not changed needs no look.
        if type is not None or not is_over(body):
            seen(Key(namespace or "", name or ""))

    def child_changed(labels: kopf.Labels, namespace: str | None, **_: Any) -> None:
        seen(Key(namespace or "", labels[BENCHMARK_LABEL]))

    marked = {BENCHMARK_LABEL: kopf.PRESENT}
    kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)(_in_loop(benchmark_changed))
    if JOBS in served:
        kopf.on.event(JOB_GROUP, "v1", JOBS, labels=marked, registry=handlers)(_in_loop(child_changed))
    kopf.on.event("", "v1", "pods", labels=marked, registry=handlers)(_in_loop(child_changed))
    return handlers


def settings() -> kopf.OperatorSettings:
    """How kopf watches."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    # kopf_runner.py starts kopf anew when something else is served, so no rights on CRDs and namespaces are needed.
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    # A load balancer may cut a watch without a word; bookmarks keep it audible. Whole numbers: they go on the wire.
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 270
    chosen.watching.inactivity_timeout = 70
    chosen.watching.chunk_size = 500
    chosen.watching.label_selectors[JOB_GROUP, "v1", JOBS] = BENCHMARK_LABEL
    chosen.watching.label_selectors["", "v1", "pods"] = BENCHMARK_LABEL
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    # Between them kopf is deaf, and after them it ends, and is started anew.
    chosen.networking.error_backoffs = (1, 2, 3, 5, 5)
    # A worker stays with its object for a while after an event, so with a limit the events of other objects would wait.
    chosen.queueing.worker_limit = None
    chosen.queueing.idle_timeout = 1
    # kopf would kill this process, also when it ends of an error only.
    chosen.process.ultimate_exiting_timeout = None
    # Never used, as nothing is ever written by kopf; named all the same, so that kopf's defaults never appear.
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, key="last-handled")
    return chosen


def _in_loop(act: Callable[..., None]) -> Callable[..., Any]:
    """As a coroutine: kopf calls plain functions in threads."""

    async def handler(**facts: Any) -> None:
        act(**facts)

    handler.__name__ = act.__name__
    return handler
