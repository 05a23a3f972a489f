"""Builds the parts of a training pod that the administrator's Workload fixes.

The ServiceAccount's token is not mounted: a cloud identity comes by its webhook's own volume, or from the node.
"""

from urllib.parse import urlsplit

from sdbench.api.spec import Data
from sdbench.api.workload import CA_VOLUME, Workload
from sdbench.controller.job.scheduling import Part

CA_FOLDER = "/etc/sdbench/ca-bundle"
CA_FILE = "ca.crt"

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Read by OpenSSL, by requests (Google's, Azure's and Hugging Face's clients), by boto3, and by curl."""

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Some programs read the upper-case names, some the lower-case ones."""

UNPROXIED = (
    *("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"),
    # The metadata servers of AWS, Azure and Google, of ECS, and of EKS, which issue workload identities.
    *("169.254.169.254", "metadata.google.internal", "169.254.170.2", "169.254.170.23"),
)
"""Hosts that are never reached by the proxy. The ranks' own sockets use no proxy."""


def account(workload: Workload) -> Part:
    """The field of a Pod that names its ServiceAccount; empty for the namespace's default one."""
    return {"serviceAccountName": workload.service_account_name} if workload.service_account_name else {}


def pull_secrets(authors: tuple[str, ...], workload: Workload) -> Part:
    """The field of a Pod with the author's Secrets, then the administrator's, each once; empty without any."""
    names = dict.fromkeys((*authors, *workload.image_pull_secrets))
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def variables(workload: Workload, data: Data) -> dict[str, str]:
    """Variables of the training container; nothing in them is to be expanded."""
    trusted = CA_VARIABLES if workload.ca_bundle is not None else ()
    found = dict.fromkeys(trusted, f"{CA_FOLDER}/{CA_FILE}")
    proxy = workload.proxy
    if proxy is None:
        return found
    # An S3 server whose name has no dot can only be a Service of the namespace, which no proxy reaches.
    host = (urlsplit(data.endpoint).hostname if data.endpoint else None) or ""
    service = host if "." not in host and ":" not in host else ""
    asked = proxy.no_proxy.split(",") if proxy.no_proxy else ()
    unproxied = dict.fromkeys((*UNPROXIED, service, *(name.strip() for name in asked)))
    values = (proxy.http, proxy.https, ",".join(name for name in unproxied if name))
    return {name: value for name, value in zip(PROXY_VARIABLES, values * 2, strict=True) if value} | found


def volumes(workload: Workload) -> list[Part]:
    """The volume with the CA bundle, if there is one."""
    bundle = workload.ca_bundle
    if bundle is None:
        return []
    # Not optional: a pod that does not start is better than one that trusts other authorities.
    items = [{"key": bundle.key, "path": CA_FILE}]
    source = {"name": bundle.config_map, "items": items, "defaultMode": 0o444, "optional": False}
    return [{"name": CA_VOLUME, "configMap": source}]


def mounts(workload: Workload) -> list[Part]:
    """The training container's mounts of these volumes."""
    mount = {"name": CA_VOLUME, "mountPath": CA_FOLDER, "readOnly": True}
    return [mount] if workload.ca_bundle is not None else []
