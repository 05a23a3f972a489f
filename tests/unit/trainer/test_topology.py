"""Tests that a pod derives its ranks from the PyTorchJob's variables and refuses inconsistent ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdbench_trainer.pod.topology import (
    LaunchRefused,
    Topology,
    credential_variables,
    default_variables,
    rank_variables,
    run_in,
    source_variables,
    topology_in,
)
from sdbench_trainer.run import START_VARIABLE, DataSource, RunConfig

TRAINER = {"model": "tiny", "imageSize": 64, "globalBatchSize": 8, "precision": "fp32"}
JOB = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "4", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "job-master-0"}


def environment(**changes: Any) -> dict[str, str]:
    return {"SDBENCH_RUN": json.dumps({"attempt": "a", "devices": 8, "trainer": TRAINER, **changes})}


def test_the_second_pod_of_four_devices_has_ranks_four_to_seven() -> None:
    pod = topology_in(
        {**JOB, "PET_MASTER_PORT": "23456", "RANK": "1", "WORLD_SIZE": "2", START_VARIABLE: "1800"}, devices=8
    )
    assert pod == Topology(2, 1, 4, "job-master-0", 23456, 1_800)
    variables = rank_variables(pod, 3, Path("/scratch"), Path("/t"))
    assert variables["RANK"] == "7"
    assert variables["WORLD_SIZE"] == "8"
    assert variables["LOCAL_RANK"] == "3"
    assert variables["LOCAL_WORLD_SIZE"] == "4"
    assert variables["NODE_RANK"] == "1"
    assert variables["MASTER_ADDR"] == "job-master-0"


def test_the_older_variables_of_the_master_are_read() -> None:
    given = {"PET_NNODES": "2", "PET_NODE_RANK": "0", "MASTER_ADDR": "master", "MASTER_PORT": "99"}
    assert topology_in(given, devices=2) == Topology(2, 0, 1, "master", 99)


def test_the_ranks_of_a_single_pod_meet_on_the_loopback_at_a_free_port() -> None:
    pod = topology_in({"PET_MASTER_ADDR": "elsewhere"}, devices=2)
    assert pod.master == "127.0.0.1"
    assert pod.port > 1023
    assert default_variables(pod)["GLOO_SOCKET_IFNAME"] == "lo"
    assert topology_in({"MASTER_PORT": "4242"}, devices=1).port == 4242


@pytest.mark.parametrize(
    ("given", "devices", "words"),
    [
        ({**JOB, "PET_MASTER_PORT": "1"}, 9, ["devices", "2 pods of 4"]),
        ({**JOB, "PET_NPROC_PER_NODE": "auto"}, 8, ["PET_NPROC_PER_NODE", "'auto'"]),
        ({**JOB, "PET_NODE_RANK": "2", "PET_MASTER_PORT": "1"}, 8, ["pod 2"]),
        (JOB, 8, ["PET_MASTER_PORT"]),
    ],
)
def test_inconsistent_variables_are_refused(given: dict[str, str], devices: int, words: list[str]) -> None:
    with pytest.raises(LaunchRefused) as refused:
        topology_in(given, devices)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["SDBENCH_RUN is not set"]),
        ({"SDBENCH_RUN": "{"}, ["JSON"]),
        (environment(trainer={**TRAINER, "imageSize": 65}), ["trainer.imageSize", "32"]),
        (environment(trainer={**TRAINER, "imagSize": 64}), ["trainer.imagSize"]),
        (environment(trainer={**TRAINER, "learningRate": 0.1}), ["trainer.learningRate", "decimal string"]),
        (environment(trainer={**TRAINER, "globalBatchSize": 9}), ["9 images", "8 devices"]),
        (environment(trainer={**TRAINER, "precision": "amp_fp16"}), ["trainer.precision", "fp32"]),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_path_of_the_field(given: dict[str, str], words: list[str]) -> None:
    with pytest.raises(LaunchRefused) as refused:
        run_in(given)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_valid_configuration_is_read() -> None:
    run = run_in(environment(source={"remote": "s3://bucket/shards"}))
    assert isinstance(run, RunConfig)
    assert run.source.remote == "s3://bucket/shards"


def test_the_files_of_a_secret_become_environment_variables(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("secret")
    assert credential_variables(folder) == {}
    assert credential_variables(folder / "absent") == {}
    (folder / "AWS_ACCESS_KEY_ID").write_text("key\n")
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("secret")
    (folder / "credentials").write_text("[default]\n")
    (folder / "GOOGLE_APPLICATION_CREDENTIALS").write_text("{}")
    (folder / "unrelated").write_text("x")
    assert credential_variables(folder) == {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "GOOGLE_APPLICATION_CREDENTIALS"),
    }


def test_streaming_and_boto_get_the_endpoint_of_an_s3_server() -> None:
    assert source_variables(DataSource()) == {"HF_HUB_OFFLINE": "1"}
    assert source_variables(DataSource(remote="hf://datasets/a/b"))["HF_HUB_OFFLINE"] == "0"
    variables = source_variables(DataSource(remote="s3://b", endpoint="http://s3:80", region="here"))
    assert variables["S3_ENDPOINT_URL"] == variables["AWS_ENDPOINT_URL_S3"] == "http://s3:80"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "here"
