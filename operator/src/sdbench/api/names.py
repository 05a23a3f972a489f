"""Holds the names by which Kubernetes knows the resource: group, kind, labels and the limits of names."""

GROUP = "sdbench.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "StableDiffusionBenchmark"
PLURAL = "stablediffusionbenchmarks"
SINGULAR = "stablediffusionbenchmark"
SHORT_NAME = "sdb"
CATEGORY = "benchmarks"

NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LIMIT = 36
"""Longest Benchmark name: with UID, trial and attempt a job's pod names stay below 63 characters."""

PLAN_LIMIT = 512
"""Most Trials of one Benchmark: that many rows fit etcd's limit."""

BENCHMARK_LABEL = f"{GROUP}/benchmark"
BENCHMARK_UID_LABEL = f"{GROUP}/benchmark-uid"
TRIAL_LABEL = f"{GROUP}/trial"
ATTEMPT_LABEL = f"{GROUP}/attempt"
"""The number of the Attempt at its Trial, from 1; the Attempt's name is the job's name."""


def attempt_name(benchmark: str, uid: str, trial: int, attempt: int) -> str:
    """The name of an Attempt, and of its job: unique for ever, so that no name is used again."""
    return f"{benchmark}-{uid.replace('-', '')[:5]}-{trial}-{attempt}"
