"""Creates hundreds of Benchmarks quickly, with the status that a real run has left."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client, config

from harness.control_plane.components import ControlPlane
from sdbench.api.names import GROUP, PLURAL, VERSION
from testkit.server.examples import example_benchmark

THREADS = 8
GROUPED_BY = "crowd"
"""The label whose value is the name without its number."""


class Crowd:
    """Creates Benchmarks in one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._namespace = namespace
        self._objects = client.CustomObjectsApi(config.new_client_from_config(str(plane.kubeconfig)))

    def create(self, names: list[str], **spec: Any) -> None:
        """Creates Benchmarks with equal specs."""
        self._in_parallel(lambda name: self._created(name, spec), names)

    def create_finished(self, names: list[str], like: dict[str, Any], **spec: Any) -> None:
        """Creates Benchmarks with the final status of another one; no operator may run until that is done."""

        def made(name: str) -> None:
            document = self._created(name, spec)
            self._objects.replace_namespaced_custom_object_status(
                *(GROUP, VERSION, self._namespace, PLURAL, name), document | {"status": like["status"]}
            )

        self._in_parallel(made, names)

    def statuses(self, of: str | None = None) -> dict[str, dict[str, Any]]:
        """Current statuses by name. All of them are megabytes; `of` selects those whose names begin with it."""
        selector = {"label_selector": f"{GROUPED_BY}={of}"} if of else {}
        found = self._objects.list_namespaced_custom_object(GROUP, VERSION, self._namespace, PLURAL, **selector)
        return {one["metadata"]["name"]: one.get("status", {}) for one in found["items"]}

    def _created(self, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        # Most users keep the default retention.
        document = example_benchmark(name, **{"retention": {}} | spec)
        document["metadata"]["labels"] = {GROUPED_BY: name.rpartition("-")[0]}
        created: dict[str, Any] = self._objects.create_namespaced_custom_object(
            GROUP, VERSION, self._namespace, PLURAL, document
        )
        return created

    def _in_parallel(self, function: Any, names: list[str]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(function, name) for name in names]:
                done.result()
