"""Finds the Benchmark that NAME|FILE names on the command line: one of the cluster, or one in a file."""

from pathlib import Path

from sdbench.api.benchmark import Benchmark
from sdbench.core.snapshot import Reference
from sdbench.local import named_results
from sdbench.local.documents import only_benchmark
from sdbench.report import cluster_reader


def stored_benchmark(source: str, namespace: str | None) -> Benchmark:
    """The Benchmark of the source. Raises InvalidFile or NotRead."""
    file = _file(source)
    return only_benchmark(file) if file is not None else cluster_reader.read_benchmark(source, namespace)


def stored_reference(name: str, source: str, namespace: str | None) -> Reference:
    """The Benchmark of that name beside the source: in its cluster, or in its results folder."""
    file = _file(source)
    if file is not None:
        return named_results.reference_in(name, file.absolute().parent.parent)
    try:
        return Reference(name, cluster_reader.read_benchmark(name, namespace))
    except cluster_reader.NotRead as error:
        return Reference(name, absence=f"cannot be read: {error}")


def _file(source: str) -> Path | None:
    """The source as a file, if it exists or looks like a path; otherwise it is a name."""
    # A Benchmark's name has neither a dot nor a slash.
    path = Path(source)
    return path if path.exists() or "/" in source or "." in source else None
