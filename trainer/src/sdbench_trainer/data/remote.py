"""Checks that remote shards can be reached, before anything waits for them.

Streaming itself retries an unreachable server for minutes, and its error names only the object.
"""

import importlib.util
from urllib.parse import urlparse

from sdbench_trainer.data.index import INDEX
from sdbench_trainer.errors import ConfigInvalid, DataMissing
from sdbench_trainer.run import DataSource

CONNECT_SECONDS = 5
READ_SECONDS = 15
DOWNLOAD_SECONDS = 60
"""How long Streaming may take to download one shard."""

SCHEMES = {
    "s3": "boto3",
    "gs": "google.cloud.storage",
    "oci": "oci",
    "azure": "azure.storage.blob",
    "azure-dl": "azure.storage.filedatalake",
    "hf": "huggingface_hub",
}
"""The URL schemes that Streaming reads, with the module that each needs."""

_CAUSES = {
    "NoSuchBucket": "the bucket does not exist",
    "NoSuchKey": "it has no index.json; build shards with `sdbench-trainer shards build`",
    "404": "the bucket or its index.json does not exist; build shards with `sdbench-trainer shards build`",
    "403": "access is denied; check the credentials",
    "AccessDenied": "access is denied; check the credentials",
    "InvalidAccessKeyId": "the access key is unknown; check the credentials",
    "SignatureDoesNotMatch": "the secret key is wrong; check the credentials",
}
"""What an S3 error code means."""


def _cause(error: Exception, endpoint: str | None) -> str:
    from botocore.exceptions import ClientError, NoCredentialsError, SSLError

    if isinstance(error, ClientError):
        code = str(error.response["Error"]["Code"])
        return _CAUSES.get(code, f"the server answered {code}: {error.response['Error'].get('Message', '')}")
    if isinstance(error, NoCredentialsError):
        return "there are no credentials; set spec.data.credentialsSecret to the name of their Secret"
    if isinstance(error, SSLError):
        return "the server's certificate is not trusted; add its authority to the CA bundle (trainer.caBundle)"
    return f"the server {endpoint or 'of the remote'} does not respond ({type(error).__name__})"


def require_scheme(remote: str) -> None:
    """Raises ConfigInvalid unless this installation can read a remote of this scheme."""
    scheme = urlparse(remote).scheme
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ConfigInvalid(f"data.remote {remote} must begin with one of {known}.")
    try:
        installed = importlib.util.find_spec(SCHEMES[scheme]) is not None
    except ModuleNotFoundError:  # a parent of the module is missing
        installed = False
    if not installed:
        package = SCHEMES[scheme].replace(".", "-")
        raise ConfigInvalid(
            f"{scheme}:// needs the Python package {package}, which this image lacks. Use an image that has it."
        )


def require_index(source: DataSource) -> None:
    """Raises DataMissing if the remote's index cannot be read, and ConfigInvalid if its scheme is not supported.

    Only s3:// is queried; Streaming finds out about other schemes.
    """
    if source.remote is None:
        return
    require_scheme(source.remote)
    if not source.remote.startswith("s3://"):
        return
    # boto3 takes long to import, and most runs have no s3:// remote.
    from boto3.session import Session
    from botocore.config import Config

    retries = {"total_max_attempts": 2, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)
    address = urlparse(source.remote)
    key = f"{address.path.strip('/')}/{INDEX}".lstrip("/")
    try:
        client = Session().client("s3", config=config, endpoint_url=source.endpoint, region_name=source.region)
        client.get_object(Bucket=address.netloc, Key=key)["Body"].read()
    except Exception as error:
        raise DataMissing(f"No shards at {source.remote}: {_cause(error, source.endpoint)}.") from error
