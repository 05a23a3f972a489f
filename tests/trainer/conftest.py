"""Provides shards of real photographs, and an S3 server, for the trainer's tests."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import photographs
from harness.addons.s3 import S3, s3_server
from harness.runs import new_run
from sdbench_trainer.shards.building import BuildRequest, build_shards

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Puts the file locks of Streaming, which never removes them, where pytest cleans up."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real photographs with captions."""
    folder = tmp_path_factory.mktemp("pictures")
    assert photographs.write(folder) >= 96, sys.path
    return folder


@pytest.fixture(scope="session")
def shards(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs as shards."""
    out = tmp_path_factory.mktemp("built") / "shards"
    build_shards(BuildRequest(str(pictures), out))
    return out


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 server with credentials."""
    with new_run("trainer-tests") as run, s3_server(run, "127.0.0.1") as server:
        yield server
