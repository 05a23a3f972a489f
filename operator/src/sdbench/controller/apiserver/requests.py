"""Lists the requests that the operator sends to the API server, each with the right that it needs.

The RBAC rules are generated from this table: a call outside it cannot be sent, and a right that no call needs is not
requested.
"""

from dataclasses import dataclass

from sdbench.api.names import GROUP, PLURAL, VERSION

JOBS = "pytorchjobs"
JOB_GROUP = "kubeflow.org"
JOB_API_VERSION = f"{JOB_GROUP}/v1"
JOB_KIND = "PyTorchJob"


@dataclass(frozen=True)
class Right:
    """A right that a Role must grant."""

    group: str
    resource: str
    verb: str


@dataclass(frozen=True)
class Call:
    """A kind of request; its path has the placeholders {namespace} and {name}."""

    method: str
    path: str
    right: Right


def _everywhere(group_path: str, resource: str) -> str:
    return f"/{group_path}/{resource}"


def _in_namespace(group_path: str, resource: str) -> str:
    return f"/{group_path}/namespaces/{{namespace}}/{resource}"


_OURS = f"apis/{GROUP}/{VERSION}"
_THEIRS = f"apis/{JOB_API_VERSION}"

READ_BENCHMARK = Call("GET", _in_namespace(_OURS, PLURAL) + "/{name}", Right(GROUP, PLURAL, "get"))
LIST_BENCHMARKS = Call("GET", _in_namespace(_OURS, PLURAL), Right(GROUP, PLURAL, "list"))
LIST_ALL_BENCHMARKS = Call("GET", _everywhere(_OURS, PLURAL), Right(GROUP, PLURAL, "list"))
PUT_STATUS = Call("PUT", _in_namespace(_OURS, PLURAL) + "/{name}/status", Right(GROUP, f"{PLURAL}/status", "update"))
DELETE_BENCHMARK = Call("DELETE", _in_namespace(_OURS, PLURAL) + "/{name}", Right(GROUP, PLURAL, "delete"))

READ_JOB = Call("GET", _in_namespace(_THEIRS, JOBS) + "/{name}", Right(JOB_GROUP, JOBS, "get"))
LIST_JOBS = Call("GET", _in_namespace(_THEIRS, JOBS), Right(JOB_GROUP, JOBS, "list"))
LIST_ALL_JOBS = Call("GET", _everywhere(_THEIRS, JOBS), Right(JOB_GROUP, JOBS, "list"))
POST_JOB = Call("POST", _in_namespace(_THEIRS, JOBS), Right(JOB_GROUP, JOBS, "create"))
DELETE_JOB = Call("DELETE", _in_namespace(_THEIRS, JOBS) + "/{name}", Right(JOB_GROUP, JOBS, "delete"))

LIST_PODS = Call("GET", _in_namespace("api/v1", "pods"), Right("", "pods", "list"))
LIST_EVENTS = Call("GET", _in_namespace("api/v1", "events"), Right("", "events", "list"))
POST_EVENT = Call("POST", _in_namespace("api/v1", "events"), Right("", "events", "create"))

CALLS = (
    *(READ_BENCHMARK, LIST_BENCHMARKS, LIST_ALL_BENCHMARKS, PUT_STATUS, DELETE_BENCHMARK),
    *(READ_JOB, LIST_JOBS, LIST_ALL_JOBS, POST_JOB, DELETE_JOB),
    *(LIST_PODS, LIST_EVENTS, POST_EVENT),
)

WATCHED = (Right(GROUP, PLURAL, "watch"), Right(JOB_GROUP, JOBS, "watch"), Right("", "pods", "watch"))
"""kopf watches, beside listing. It patches nothing: there are no change handlers, timers or finalizers."""

OWNING = (Right(GROUP, f"{PLURAL}/finalizers", "update"),)
"""Needed for blockOwnerDeletion where OwnerReferencesPermissionEnforcement is on, as in OpenShift."""
