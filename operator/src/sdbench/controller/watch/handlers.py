"""Defines kopf's handlers and settings: each event of a Benchmark, job or pod queues the Benchmark.

Only `on.event` is used. kopf's timers, daemons and change handlers put finalizers and annotations on objects, and an
operator that was uninstalled must never block a deletion.
"""

import os
from collections.abc import Callable
from typing import Any

import kopf

from sdbench.api.names import BENCHMARK_LABEL, GROUP, PLURAL, VERSION
from sdbench.controller.apiserver.cluster import Key
from sdbench.controller.apiserver.requests import JOB_GROUP, JOBS
from sdbench.controller.cache import is_over

Enqueue = Callable[[Key], None]


def registry(enqueue: Enqueue, served: frozenset[str]) -> kopf.OperatorRegistry:
    """The handlers for what is served; each calls `enqueue` with the key of the Benchmark that an event concerns."""
    handlers = kopf.OperatorRegistry()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    login: Any = kopf.login_with_service_account if in_cluster else kopf.login_with_kubeconfig
    kopf.on.login(registry=handlers)(login)

    # Coroutines, because kopf calls plain functions in threads.
    async def benchmark_changed(
        name: str | None, namespace: str | None, body: kopf.Body, type: str | None, **_: Any
    ) -> None:
        # Events of the initial list have no type; of those, Benchmarks that are over need no pass.
        if type is not None or not is_over(body):
            enqueue(Key(namespace or "", name or ""))

    async def child_changed(labels: kopf.Labels, namespace: str | None, **_: Any) -> None:
        enqueue(Key(namespace or "", labels[BENCHMARK_LABEL]))

    marked = {BENCHMARK_LABEL: kopf.PRESENT}
    kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)(benchmark_changed)
    if JOBS in served:
        kopf.on.event(JOB_GROUP, "v1", JOBS, labels=marked, registry=handlers)(child_changed)
    kopf.on.event("", "v1", "pods", labels=marked, registry=handlers)(child_changed)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings: it watches and writes nothing."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    # kopf_runner.py restarts kopf when something else is served, so it needs no rights on CRDs and namespaces.
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    # A load balancer may drop a watch silently; bookmarks show that it is alive. kopf sends these as whole numbers.
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 270
    chosen.watching.inactivity_timeout = 70
    chosen.watching.chunk_size = 500
    chosen.watching.label_selectors[JOB_GROUP, "v1", JOBS] = BENCHMARK_LABEL
    chosen.watching.label_selectors["", "v1", "pods"] = BENCHMARK_LABEL
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    # kopf misses events during a back-off. After the last one it ends, and kopf_runner.py restarts it.
    chosen.networking.error_backoffs = (1, 2, 3, 5, 5)
    # A worker stays with its object for a while after an event; with a limit, events of other objects would wait.
    chosen.queueing.worker_limit = None
    chosen.queueing.idle_timeout = 1
    # Otherwise kopf would kill this process, even if only a watch failed.
    chosen.process.ultimate_exiting_timeout = None
    # kopf writes nothing, so these are never used; they are named so that kopf's defaults can never appear.
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, key="last-handled")
    return chosen
