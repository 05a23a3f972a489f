"""Reads a Benchmark from the cluster once, with the kubeconfig of the person who asks."""

from typing import Any

from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import GROUP, PLURAL, VERSION

TIMEOUT_SECONDS = 30


class NotRead(Exception):
    """The Benchmark could not be read; the message says what to do."""


def read_benchmark(name: str, namespace: str | None) -> Benchmark:
    """The Benchmark of this name; without a namespace, in that of the current context. Raises NotRead."""
    from kubernetes import client, config  # takes half a second, and files need no cluster
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        place = namespace or _current_namespace(config)
        config.load_config()
        found = client.CustomObjectsApi().get_namespaced_custom_object(
            GROUP, VERSION, place, PLURAL, name, _request_timeout=TIMEOUT_SECONDS
        )
        return Benchmark.model_validate(found)
    except config.ConfigException as error:
        raise NotRead(f"There is no cluster to ask: {error} Name a FILE, or set KUBECONFIG.") from error
    except ApiException as error:
        raise NotRead(_refusal(error, name, place)) from error
    except (HTTPError, OSError) as error:
        raise NotRead(f"The API server cannot be reached: {_cause(error)}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotRead(f"{name} has another shape than this sdbench knows ({where}: {first['msg']}).") from error


def _current_namespace(config: Any) -> str:
    try:
        _, active = config.list_kube_config_contexts()
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace") or "default")


def _refusal(error: Any, name: str, namespace: str) -> str:
    if error.status == 404:
        return (
            f'There is no StableDiffusionBenchmark "{name}" in namespace "{namespace}", or the resource is not '
            f"installed: kubectl get sdb -A lists those that are. If {name} is meant to be a file, it doesn't exist."
        )
    if error.status in (401, 403):
        return f'You may not read {PLURAL}.{GROUP} in namespace "{namespace}": the API server says {error.reason}.'
    return f"The API server refused: {error.status} {error.reason}."


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer layers tell of retries."""
    reason = getattr(error, "reason", None)
    return _cause(reason) if isinstance(reason, BaseException) else str(error)
