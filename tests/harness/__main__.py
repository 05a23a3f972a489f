"""Provides the harness's command line."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from harness.cache import cache_folder, is_locked, say
from harness.cluster import CLUSTER_LOCK, Cluster, build_supplies
from harness.failure import HarnessError
from harness.runs import sweep
from harness.tools import all_binaries
from harness.traces import remove_control_groups

DESCRIPTION = "A real Kubernetes cluster of one node on this machine, with everything that the cluster tests use."
EPILOGUE = """\
Programs and images are built once and kept in $SDBENCH_CACHE (default ~/.cache/sdbench; about 25 GB).
$KUBEBUILDER_ASSETS may name a folder with kube-apiserver, etcd and kubectl; then those are not built.
All commands but `tools` need root and a Debian-like machine. apt installs missing packages.
"""

READY = """\
The cluster is up: Kubernetes {server}, with the training-operator.

  export KUBECONFIG={kubeconfig}

  trainer image    {trainer}
  operator image   {operator}
  S3 endpoint      {endpoint}
    credentials    AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}
    buckets        folders in {bucket}
  Prometheus       {prometheus}
  logs             {folder}

Ctrl-C stops it and removes all of it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, act, sentence in _commands():
        commands.add_parser(name, help=sentence, description=sentence).set_defaults(act=act)
    chosen: Callable[[], None] = parser.parse_args(arguments).act
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT by default
        signal.signal(number, _leave)
    try:
        chosen()
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _commands() -> tuple[tuple[str, Callable[[], None], str], ...]:
    return (
        ("up", up, "Start the cluster and keep it until Ctrl-C."),
        ("build", build, "Build programs and images, and import the images into the node's containerd."),
        ("tools", tools, "Build the Go programs only."),
        ("clean", clean, "Remove what killed runs have left behind."),
    )


def up() -> None:
    with Cluster() as cluster:
        print(
            READY.format(
                server=cluster.server,
                kubeconfig=cluster.kubeconfig,
                trainer=cluster.images.trainer,
                operator=cluster.images.operator,
                endpoint=cluster.s3.endpoint,
                access_key=cluster.s3.access_key,
                secret_key=cluster.s3.secret_key,
                bucket=cluster.s3.folder,
                prometheus=cluster.prometheus.url,
                folder=cluster.folder,
            ),
            flush=True,
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            say("stopping")


def build() -> None:
    images = build_supplies()
    print(f"trainer   {images.trainer}\noperator  {images.operator}\nbase      {images.base}")


def tools() -> None:
    for path in all_binaries():
        print(path)


def clean() -> None:
    swept = sweep()
    if not is_locked(CLUSTER_LOCK):
        remove_control_groups()
    print(f"removed: {', '.join(swept) or 'nothing was left'} (the cache stays: {cache_folder()})")


def _leave(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, so that Ctrl-C and SIGTERM unwind everything that was started."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
