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
    def taken(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        return str(self.document.get("message", ""))

    @property
    def causes(self) -> list[dict[str, str]]:
        """Each with `field` and `message`; without those that only say that there are others."""
        found = (self.document.get("details") or {}).get("causes") or ()
        return [cause for cause in found if "some validation rules were not checked" not in cause["message"]]

    @property
    def fields(self) -> list[str]:
        return [cause.get("field", "") for cause in self.causes]


class Asking:
    """Requests as the administrator; each is refused or taken, and nothing else is an answer."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))
        self.namespace = namespace

    def create(self, document: dict[str, Any], dry: bool = True, strict: bool = True) -> Answer:
        """POST of a Benchmark."""
        return self._answer("POST", f"{self._benchmarks()}", document, dry, strict)

    def replace(self, name: str, document: dict[str, Any], dry: bool = True) -> Answer:
        """PUT of a Benchmark; without a resourceVersion the last writer wins."""
        return self._answer("PUT", f"{self._benchmarks()}/{name}", document, dry)

    def replace_status(self, name: str, document: dict[str, Any]) -> Answer:
        """PUT of a Benchmark's status."""
        return self._answer("PUT", f"{self._benchmarks()}/{name}/status", document, dry=False)

    def read(self, name: str) -> dict[str, Any]:
        """The Benchmark as it is stored."""
        return self._answer("GET", f"{self._benchmarks()}/{name}", None, dry=False).document

    def create_job(self, document: dict[str, Any]) -> Answer:
        """Dry POST of a PyTorchJob."""
        return self._answer("POST", f"/apis/kubeflow.org/v1/namespaces/{self.namespace}/pytorchjobs", document)

    def create_pod(self, document: dict[str, Any]) -> Answer:
        """Dry POST of a pod."""
        return self._answer("POST", f"/api/v1/namespaces/{self.namespace}/pods", document)

    def listed(self, what: str) -> list[dict[str, Any]]:
        """All `stablediffusionbenchmarks`, `pytorchjobs` or `pods` of the namespace."""
        groups = {PLURAL: f"/apis/{GROUP}/{VERSION}", "pytorchjobs": "/apis/kubeflow.org/v1", "pods": "/api/v1"}
        path = f"{groups[what]}/namespaces/{self.namespace}/{what}"
        found: list[dict[str, Any]] = self._answer("GET", path, None, dry=False).document["items"]
        return found

    def delete_benchmarks(self) -> None:
        """All of the namespace; what is theirs follows."""
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
