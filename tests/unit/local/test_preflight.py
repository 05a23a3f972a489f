"""Tests that a Benchmark that this machine cannot run is refused before anything starts."""

from pathlib import Path

import pytest

from page import sample
from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Data, Devices, Limits, Retention, Spec
from sdbench.api.status import Status
from sdbench.local.preflight import LocalRunRefused, local_folder, on_this_machine, read_in_place, warnings
from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.run import DataSource


def asked(**changes: object) -> Benchmark:
    """A Benchmark for two CPU processes, with these fields of the spec changed."""
    spec = Spec(devices=Devices(counts=(1, 2), per_pod=1), trainer=TrainerConfig())
    return sample.benchmark(Status()).model_copy(update={"spec": spec.model_copy(update=changes)})


def gpus(resource: str) -> Devices:
    return Devices(counts=(1, 4), per_pod=1, resource=resource)


@pytest.mark.parametrize(
    ("visible", "sentence"),
    [("", "this machine has none"), ("0,1", "this machine has only 2"), ("-1", "this machine has none")],
)
def test_a_run_on_more_gpus_than_the_machine_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, visible: str, sentence: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(LocalRunRefused, match=sentence):
        on_this_machine(asked(devices=gpus("nvidia.com/gpu")), None)


def test_a_run_on_as_many_gpus_as_the_machine_has_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert on_this_machine(asked(devices=gpus("nvidia.com/gpu")), None).spec.devices.resource == "nvidia.com/gpu"


def test_devices_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(LocalRunRefused, match=r"not amd\.com/gpu"):
        on_this_machine(asked(devices=gpus("amd.com/gpu")), None)


def test_a_claim_needs_local_shards() -> None:
    with pytest.raises(LocalRunRefused, match=r"spec\.data\.claim exists only in a cluster"):
        on_this_machine(asked(data=Data(claim="shards")), None)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalRunRefused, match="holds no shards"):
        on_this_machine(asked(), tmp_path)


def test_a_field_without_effect_here_is_a_warning_and_not_a_refusal() -> None:
    question = asked(retention=Retention(failed_seconds=60), ttl_seconds_after_finished=60)
    warned = [sentence for sentence in warnings(question.spec) if "has no effect here" in sentence]
    assert [sentence.split()[0] for sentence in warned] == ["spec.retention", "spec.ttlSecondsAfterFinished"]
    assert on_this_machine(question, None).spec.retention.failed_seconds == 60
    assert not [sentence for sentence in warnings(asked().spec) if "has no effect here" in sentence]


def test_limits_apply_here_as_in_a_cluster() -> None:
    limits = Limits.model_validate({"deviceHours": "1", "cost": "2"})
    assert not [sentence for sentence in warnings(asked(limits=limits).spec) if "limits" in sentence]


@pytest.mark.parametrize("field", ["suspend", "cancel"])
def test_a_suspended_or_cancelled_benchmark_is_refused(field: str) -> None:
    with pytest.raises(LocalRunRefused, match=f"spec.{field} is true"):
        on_this_machine(asked(**{field: True}), None)


@pytest.mark.parametrize("name", ["shards", "with space", "at@sign", "dollar$", "ümlaut"])
def test_local_shards_replace_the_data_and_are_read_in_place(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "index.json").touch()
    data = on_this_machine(asked(data=Data(remote="s3://bucket/shards")), folder).spec.data
    assert Data.model_validate(data.document()) == data, "the stored spec is valid"
    assert local_folder(data.remote) == folder.resolve()
    assert read_in_place(DataSource(remote=data.remote)) == DataSource(local=str(folder.resolve()))


def test_remote_shards_stay_remote() -> None:
    source = DataSource(remote="s3://bucket/shards", endpoint="http://s3:9000")
    assert read_in_place(source) == source


def test_trials_run_one_at_a_time_here() -> None:
    assert on_this_machine(asked(parallelism=4), None).spec.parallelism == 1


def test_more_processes_than_cores_are_a_warning() -> None:
    spec = asked(devices=Devices(counts=(4096,), per_pod=64)).spec
    assert any("share" in sentence for sentence in warnings(spec))
