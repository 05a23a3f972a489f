"""Asks the API server whether it accepts a Benchmark, over one connection and without kubectl."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import config

from sdbench.api.names import GROUP, PLURAL, VERSION


@dataclass(frozen=True)
class Answer:
    """The object as it would be stored, or why it is refused."""

    code: int
    document: dict[str, Any]
    """The object, or the Status of a refusal."""

    @property
    def accepted(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        return str(self.document.get("message", ""))

    @property
    def causes(self) -> list[dict[str, str]]:
        """The causes of a refusal, each with `field` and `message`, without the notice that some rules were skipped."""
        found = (self.document.get("details") or {}).get("causes") or ()
        return [cause for cause in found if "some validation rules were not checked" not in cause["message"]]

    @property
    def fields(self) -> list[str]:
        return [cause.get("field", "") for cause in self.causes]


class BenchmarkClient:
    """Sends requests as the administrator; each is either accepted or refused."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))
        self.namespace = namespace

    def create(self, document: dict[str, Any], dry: bool = True, strict: bool = True) -> Answer:
        """Creates a Benchmark with POST."""
        return self._answer("POST", f"{self._benchmarks()}", document, dry, strict)

    def replace(self, name: str, document: dict[str, Any], dry: bool = True) -> Answer:
        """Replaces a Benchmark with PUT; without a resourceVersion the last writer wins."""
        return self._answer("PUT", f"{self._benchmarks()}/{name}", document, dry)

    def replace_status(self, name: str, document: dict[str, Any]) -> Answer:
        """Replaces a Benchmark's status with PUT."""
        return self._answer("PUT", f"{self._benchmarks()}/{name}/status", document, dry=False)

    def read(self, name: str) -> dict[str, Any]:
        """The Benchmark as it is stored."""
        return self._answer("GET", f"{self._benchmarks()}/{name}", None, dry=False).document

    def create_job(self, document: dict[str, Any]) -> Answer:
        """Creates a PyTorchJob by dry run."""
        return self._answer("POST", f"/apis/kubeflow.org/v1/namespaces/{self.namespace}/pytorchjobs", document)

    def create_pod(self, document: dict[str, Any]) -> Answer:
        """Creates a pod by dry run."""
        return self._answer("POST", f"/api/v1/namespaces/{self.namespace}/pods", document)

    def listed(self, what: str) -> list[dict[str, Any]]:
        """All objects of the namespace of one kind: `stablediffusionbenchmarks`, `pytorchjobs` or `pods`."""
        groups = {PLURAL: f"/apis/{GROUP}/{VERSION}", "pytorchjobs": "/apis/kubeflow.org/v1", "pods": "/api/v1"}
        path = f"{groups[what]}/namespaces/{self.namespace}/{what}"
        found: list[dict[str, Any]] = self._answer("GET", path, None, dry=False).document["items"]
        return found

    def delete_benchmarks(self) -> None:
        """Deletes all Benchmarks of the namespace; the garbage collector deletes their dependents."""
        self._answer("DELETE", self._benchmarks(), None, dry=False)

    def _benchmarks(self) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURAL}"

    def _answer(
        self, method: str, path: str, document: dict[str, Any] | None, dry: bool = True, strict: bool = True
    ) -> Answer:
        query = ([("dryRun", "All")] if dry else []) + ([("fieldValidation", "Strict")] if strict and document else [])
        request = self._api.param_serialize(
            method,
            path,
            query_params=query,
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=document,
            auth_settings=["BearerToken"],
        )
        response = self._api.call_api(*request)
        return Answer(response.status, json.loads(response.read()))
