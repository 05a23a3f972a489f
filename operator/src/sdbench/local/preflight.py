"""Checks whether this machine can run a Benchmark, before anything starts."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic.alias_generators import to_camel

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Data, Spec
from sdbench.local.devices import NVIDIA, available, cores
from sdbench_trainer.run import DataSource

CLUSTER_ONLY = {
    "retention": "a run's logs stay beside its results",
    "ttl_seconds_after_finished": "results stay until you delete them",
    "scheduling": "there is only this machine",
    "pod_labels": "there are no pods",
    "pod_annotations": "there are no pods",
}
"""Fields of the spec that a local run ignores, and why."""

TRAINING_PACKAGES = ("torch", "composer", "streaming", "diffusers")


class LocalRunRefused(Exception):
    """The command cannot do what it is asked for; the message says what to do."""


def on_this_machine(benchmark: Benchmark, shards: Path | None) -> Benchmark:
    """The Benchmark as this machine runs it: local shards, one Trial at a time. Raises LocalRunRefused."""
    # The shards become an address, because spec.data has no field for a folder.
    data = benchmark.spec.data if shards is None else Data(remote=shards.resolve().as_uri())
    # Trials that share a host disturb each other.
    spec = benchmark.spec.model_copy(update={"data": data, "parallelism": 1})
    # The first refusal is enough: the others may follow from it.
    for sentence in refusals(spec):
        raise LocalRunRefused(sentence)
    return benchmark.model_copy(update={"spec": spec})


def refusals(spec: Spec) -> Iterator[str]:
    """The reasons why this machine cannot run the spec."""
    missing = [name for name in TRAINING_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        yield f"The trainer is not installed ({', '.join(missing)} missing): pip install 'sdbench-trainer[train]'."
    if spec.suspend or spec.cancel:
        yield f"spec.{'cancel' if spec.cancel else 'suspend'} is true, so there is nothing to run: set it to false."
    if spec.data.claim is not None:
        yield "spec.data.claim exists only in a cluster: name a local folder of shards with --shards."
    folder = local_folder(spec.data.remote)
    if folder is not None and not (folder / "index.json").is_file():
        yield f"{folder} holds no shards (no index.json): make them with sdbench-trainer shards build IMAGES {folder}."
    resource, wanted = spec.devices.resource, max(spec.devices.counts)
    present = available(resource)
    if resource not in (None, NVIDIA):
        yield f"A local run can count nvidia.com/gpu and CPU processes, not {resource}: run it in a cluster."
    elif present is not None and present < wanted:
        yield (
            f"spec.devices.counts asks for {wanted} of {resource}, and this machine has "
            f"{f'only {present}' if present else 'none'}: lower the counts, or delete spec.devices.resource to run on "
            "CPU processes."
        )


def warnings(spec: Spec) -> Iterator[str]:
    """The parts of the spec that mean something else here than in a cluster."""
    wanted = max(spec.devices.counts)
    if spec.devices.resource is None and wanted > cores():
        yield (
            f"Up to {wanted} CPU processes share {cores()} cores, so rates at the larger counts are too low: lower "
            "spec.devices.counts to compare them."
        )
    for field in sorted(CLUSTER_ONLY.keys() & spec.model_fields_set):
        yield f"spec.{to_camel(field)} has no effect here: {CLUSTER_ONLY[field]}."
    if spec.data.credentials_secret is not None:
        yield "spec.data.credentialsSecret is not read here: set your AWS credentials in the environment."


def local_folder(remote: str | None) -> Path | None:
    """The folder that a file:// address names; None for other addresses."""
    if remote is None or not remote.startswith("file://"):
        return None
    return Path(unquote(urlsplit(remote).path))


def read_in_place(source: DataSource) -> DataSource:
    """The source, with shards of this machine read where they are instead of copied to a cache."""
    folder = local_folder(source.remote)
    return source if folder is None else DataSource(local=str(folder))
