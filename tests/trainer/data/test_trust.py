"""Tests that the clients that read shards trust the administrator's CA bundle and no other authority."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.addons.s3 import S3, s3_server
from harness.control_plane.certificates import Authority
from harness.runs import new_run
from sdbench.controller.job.pod_defaults import CA_VARIABLES
from sdbench_trainer.pod.topology import source_variables
from sdbench_trainer.run import DataSource

HOST = "127.0.0.1"

INDEX_REQUEST = """
from sdbench_trainer.data.remote import require_index
from sdbench_trainer.run import DataSource
require_index(DataSource(remote="{remote}", endpoint="{endpoint}", region="here"))
"""
STREAMING = """
from streaming import StreamingDataset
sample = StreamingDataset(remote="{remote}", local="{local}", batch_size=1, download_retry=1)[0]
assert sample, "the sample is empty"
"""


@dataclass(frozen=True)
class Store:
    """An S3 server that serves shards over TLS, and the certificate of its authority."""

    server: S3
    authority: Path


@pytest.fixture(scope="module")
def store(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    pair = authority.issue("s3", "s3", hosts=(HOST,))
    with new_run("trust-tests") as run, s3_server(run, HOST, pair) as server:
        shutil.copytree(shards, server.folder / "bucket" / "photographs")
        yield Store(server, authority.certificate)


def ran(program: str, store: Store, local: Path, trusted: Path | None) -> subprocess.CompletedProcess[str]:
    """Runs a program with the environment of a rank; `trusted` is the CA bundle, if there is one."""
    source = DataSource(remote="s3://bucket/photographs", endpoint=store.server.endpoint, region="here")
    keys = {"AWS_ACCESS_KEY_ID": store.server.access_key, "AWS_SECRET_ACCESS_KEY": store.server.secret_key}
    environment = {name: value for name, value in os.environ.items() if name not in CA_VARIABLES}
    environment |= source_variables(source) | keys
    environment |= dict.fromkeys(CA_VARIABLES, str(trusted)) if trusted is not None else {}
    text = program.format(remote=source.remote, endpoint=source.endpoint, local=local)
    return subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=180)


@pytest.mark.parametrize("program", [INDEX_REQUEST, STREAMING], ids=["index request", "streaming"])
def test_shards_are_read_from_a_server_whose_authority_is_in_the_bundle(
    store: Store, tmp_path: Path, program: str
) -> None:
    done = ran(program, store, tmp_path / "local", store.authority)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("program", "sentence"),
    [(INDEX_REQUEST, "add its authority to the CA bundle"), (STREAMING, "CERTIFICATE_VERIFY_FAILED")],
    ids=["index request", "streaming"],
)
def test_a_server_whose_authority_is_not_in_the_bundle_is_rejected(
    store: Store, tmp_path: Path, program: str, sentence: str
) -> None:
    other = Authority(tmp_path / "other").certificate
    done = ran(program, store, tmp_path / "local", other)
    assert done.returncode != 0
    assert sentence in done.stderr, done.stderr
