"""Lets the API server reach webhooks of a program that runs on this machine instead of in a pod.

The webhooks are called by URL, because a Service cannot lead to loopback. The certificate is issued here, because the
programs would issue one for their Service's name only. They find ours in their Secret and keep it, since it is valid
for the names that they need. The files that a kubelet would mount from the Secret are written to a folder.
"""

import base64
import copy
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.control_plane.certificates import LIFETIME

LOOPBACK = "127.0.0.1"
CONFIGURATIONS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
CLOCK_SKEW = datetime.timedelta(hours=1)


class ServedHere:
    """A port and a self-signed certificate, in `folder`, for one program's webhooks.

    `names` are the names of the authority and of the Service; the program checks that the certificate has both.
    """

    def __init__(self, folder: Path, port: int, names: Sequence[str]) -> None:
        self.folder, self.port = folder, port
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _self_signed(key, names).public_bytes(serialization.Encoding.PEM)
        self._key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tls.crt").write_bytes(self._certificate)
        (folder / "tls.key").touch(mode=0o600)
        (folder / "tls.key").write_bytes(self._key)

    def fitted(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The manifest with this machine's URLs if it is a webhook configuration; any other manifest unchanged."""
        if manifest["kind"] not in CONFIGURATIONS:
            return manifest
        fitted = copy.deepcopy(manifest)
        for webhook in fitted["webhooks"]:
            url = f"https://{LOOPBACK}:{self.port}{webhook['clientConfig']['service']['path']}"
            webhook["clientConfig"] = {"url": url, "caBundle": _encoded(self._certificate)}
        return fitted

    def secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret in which the program looks for its certificate and its authority's."""
        pair = {"crt": _encoded(self._certificate), "key": _encoded(self._key)}
        data = {f"{who}.{part}": value for who in ("ca", "tls") for part, value in pair.items()}
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def _self_signed(key: rsa.RSAPrivateKey, names: Sequence[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    hosts = [*(x509.DNSName(name) for name in names), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + 5 * LIFETIME)  # the programs renew a certificate that ends within three months
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
