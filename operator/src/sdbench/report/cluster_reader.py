"""Reads a Benchmark from the cluster once, with the user's kubeconfig."""

from typing import Any

from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import GROUP, PLURAL, VERSION

TIMEOUT_SECONDS = 30


class NotRead(Exception):
    """The Benchmark could not be read; the message says what to do."""


def read_benchmark(name: str, namespace: str | None) -> Benchmark:
    """The Benchmark of this name; without a namespace, in that of the current context. Raises NotRead."""
    # Imported here because it takes half a second, and files need no cluster.
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        namespace = namespace or _current_namespace(config)
        config.load_config()
        found = client.CustomObjectsApi().get_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURAL, name, _request_timeout=TIMEOUT_SECONDS
        )
        return Benchmark.model_validate(found)
    except config.ConfigException as error:
        raise NotRead(f"No cluster is configured: {error} Name a FILE, or set KUBECONFIG.") from error
    except ApiException as error:
        raise NotRead(_refusal(error, name, str(namespace))) from error
    except (HTTPError, OSError) as error:
        # The outer layers tell of retries, and the innermost one names the reason.
        cause: BaseException = error
        while isinstance(inner := getattr(cause, "reason", None), BaseException):
            cause = inner
        raise NotRead(
            f"The API server cannot be reached: {cause}. Check the network and kubectl config view --minify."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotRead(
            f"{name} does not match this version of sdbench ({where}: {first['msg']}): install the operator's version."
        ) from error


def _current_namespace(config: Any) -> str:
    """The namespace of the current context; inside a pod there is no kubeconfig, but `default` still applies."""
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
        return (
            f'You may not read {PLURAL}.{GROUP} in namespace "{namespace}": the API server says {error.reason}. Ask '
            "its administrator for the verb get."
        )
    return f"The API server refused the request: {error.status} {error.reason}. Try again later."
