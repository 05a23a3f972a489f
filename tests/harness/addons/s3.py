"""Serves a folder as a real S3 server, at one address for pods and for this machine."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.control_plane.certificates import KeyPair
from harness.daemons import daemon
from harness.ports import accepts, free_ports
from harness.runs import Run
from harness.tools import binary


@dataclass(frozen=True)
class S3:
    """An S3 endpoint. Each folder in `folder` is a bucket, each file in it an object: write files to add objects."""

    endpoint: str
    access_key: str
    secret_key: str
    folder: Path


@contextlib.contextmanager
def s3_server(run: Run, address: str, tls: KeyPair | None = None) -> Iterator[S3]:
    """A server with random credentials, by which a leaked secret is recognised; it uses HTTPS with `tls`."""
    (port,) = free_ports(1, address)
    server = S3(
        endpoint=f"{'https' if tls else 'http'}://{address}:{port}",
        access_key=f"access-{secrets.token_hex(8)}",
        secret_key=f"secret-{secrets.token_hex(16)}",
        folder=run.folder / "s3",
    )
    server.folder.mkdir()
    config = run.folder / "rclone.conf"
    config.touch()
    command: list[str | Path] = [
        *(binary("rclone"), "serve", "s3", server.folder),
        *("--config", config),
        *("--addr", f"{address}:{port}"),
        *("--auth-key", f"{server.access_key},{server.secret_key}"),
        "--vfs-cache-mode=writes",
        f"--cache-dir={run.folder / 'rclone'}",
        *(("--cert", tls.certificate, "--key", tls.key) if tls else ()),
        "--dir-cache-time=0s",  # a file that a test writes is an object at once
    ]
    with daemon(run, "s3", command) as process:
        process.wait_until(lambda: accepts(address, port))
        yield server
