"""Defines what the administrator fixes in every training pod: account, pull Secrets, proxy and trusted CAs."""

from typing import Annotated

from pydantic import Field, StringConstraints

from sdbench.api.spec_fields import HttpUrl, ObjectName
from sdbench_trainer.config import Boundary

# The cluster's warning events about the pods' volume with the CA bundle contain its name.
CA_VOLUME = "ca-bundle"

NoProxy = Annotated[str, StringConstraints(pattern=r"^[^$\x00-\x1f\x7f]+$", max_length=2048)]
ConfigKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class Proxy(Boundary):
    """The proxies to the outside of the cluster. URLs have no user info: readers of a Benchmark see them."""

    http: HttpUrl | None = Field(None, description="URL of the proxy for http://.")
    https: HttpUrl | None = Field(None, description="URL of the proxy for https://.")
    no_proxy: NoProxy | None = Field(
        None,
        description="Names that are reached without a proxy, separated by commas, beside those inside the cluster.",
    )


class CaBundle(Boundary):
    """The certificates that the pods trust, in place of those of the image."""

    config_map: ObjectName = Field(description="ConfigMap in each Benchmark's namespace.")
    key: ConfigKey = Field("ca.crt", description="Its key with the certificates, as PEM.")


class Workload(Boundary):
    """What an administrator fixes in the pods of every Benchmark; no author can change it."""

    service_account_name: ObjectName | None = Field(
        None, description="ServiceAccount of the pods, for a workload identity; its token is not mounted."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        (), max_length=16, description="Secrets to pull the image with, beside those of the Benchmark."
    )
    proxy: Proxy | None = Field(None, description="How the pods reach what is outside of the cluster.")
    ca_bundle: CaBundle | None = Field(None, description="The certificates that the pods trust.")
