"""Holds the resource's names in Kubernetes: group, kind, labels, and the limits of names."""

GROUP = "sdbench.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "StableDiffusionBenchmark"
PLURAL = "stablediffusionbenchmarks"
SINGULAR = "stablediffusionbenchmark"
SHORT_NAME = "sdb"
CATEGORY = "benchmarks"

NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
# A pod's name adds UID, Trial, Attempt and rank to the Benchmark's, and must stay below 63 characters.
NAME_LIMIT = 36
# The rows of a Benchmark's Trials must fit into one object of etcd.
PLAN_LIMIT = 512

BENCHMARK_LABEL = f"{GROUP}/benchmark"
BENCHMARK_UID_LABEL = f"{GROUP}/benchmark-uid"
TRIAL_LABEL = f"{GROUP}/trial"
ATTEMPT_LABEL = f"{GROUP}/attempt"
"""Holds the number of the Attempt in its Trial, from 1. The Attempt has the job's name."""


def attempt_name(benchmark: str, uid: str, trial: int, attempt: int) -> str:
    """The name of an Attempt and its job, which is never used again."""
    return f"{benchmark}-{uid.replace('-', '')[:5]}-{trial}-{attempt}"
