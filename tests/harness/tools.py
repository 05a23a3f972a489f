"""Builds the Go programs that the cluster needs, once, and finds them in the cache."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_folder, lock, say
from harness.failure import HarnessError, last_lines

MODULES = Path(__file__).resolve().parent / "go"
"""One folder per go.mod, which pins versions and names the packages.

Programs that can use the Kubernetes libraries at one version share a go.mod: each package of the libraries is then
compiled only once, which saves most of the time. kwok needs newer versions of two of the kubelet's libraries, so it has
a go.mod of its own; its other Kubernetes libraries have the same version.
"""

SHARED_WITH_ENVTEST = ("kube-apiserver", "etcd", "kubectl")
"""The programs that $KUBEBUILDER_ASSETS may hold, by the convention of controller-runtime's envtest."""


@dataclass(frozen=True)
class Module:
    """A Go module whose main packages become binaries of the same version."""

    name: str
    path: str
    version: str
    packages: dict[str, str]
    minutes: int
    """Build time; a module that shares the Kubernetes libraries needs it on top of theirs."""
    stamp: str = ""
    libraries: str = ""
    """The module whose go.mod it shares; empty if it has its own."""

    @property
    def folder(self) -> Path:
        return MODULES / (self.libraries or self.name)


KUBERNETES_VERSION = "v1.35.4"
_STAMP = "k8s.io/component-base/version"
KUBERNETES = Module(
    name="kubernetes",
    path="k8s.io/kubernetes",
    version=KUBERNETES_VERSION,
    packages={
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
    },
    minutes=6,
    stamp=f" -X {_STAMP}.gitVersion={KUBERNETES_VERSION} -X {_STAMP}.gitMajor=1 -X {_STAMP}.gitMinor=35",
)
ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", "v3.6.16", {"etcd": "go.etcd.io/etcd/server/v3"}, minutes=1)
TRAINING_OPERATOR = Module(
    "training-operator",
    "github.com/kubeflow/training-operator",
    "v1.9.4",
    {"training-operator": "github.com/kubeflow/training-operator/cmd/training-operator.v1"},
    minutes=1,
    libraries=KUBERNETES.name,
)
_COREDNS, _RCLONE = "github.com/coredns/coredns", "github.com/rclone/rclone"
COREDNS = Module("coredns", _COREDNS, "v1.12.4", {"coredns": _COREDNS}, minutes=2)
RCLONE = Module("rclone", _RCLONE, "v1.71.0", {"rclone": _RCLONE}, minutes=2)
HELM = Module("helm", "helm.sh/helm/v4", "v4.3.1", {"helm": "helm.sh/helm/v4/cmd/helm"}, minutes=2)
KWOK = Module("kwok", "sigs.k8s.io/kwok", "v0.8.0", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, minutes=1)
KUEUE = Module(
    "kueue",
    "sigs.k8s.io/kueue",
    "v0.17.0",
    {"kueue": "sigs.k8s.io/kueue/cmd/kueue"},
    minutes=1,
    libraries=KUBERNETES.name,
)
_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
PROMETHEUS_OPERATOR = Module(
    "prometheus-operator",
    _PROMETHEUS_OPERATOR,
    "v0.91.0",
    {"prometheus-operator": f"{_PROMETHEUS_OPERATOR}/cmd/operator"},
    minutes=1,
    libraries=KUBERNETES.name,
)
_KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
KUBE_ROUTER = Module(
    "kube-router",
    _KUBE_ROUTER,
    "v2.1.0",
    {"kube-router": f"{_KUBE_ROUTER}/cmd/kube-router"},
    minutes=1,
    libraries=KUBERNETES.name,
)

CLUSTER_MODULES = (KUBERNETES, ETCD, TRAINING_OPERATOR, COREDNS, RCLONE, HELM, PROMETHEUS_OPERATOR, KUBE_ROUTER)
"""The programs of a cluster with a real node."""

SIMULATED_CLUSTER_MODULES = (KUBERNETES, ETCD, TRAINING_OPERATOR, KWOK, KUEUE, HELM)
"""The programs of a cluster of many simulated nodes; Helm renders the operator's rights in it."""

ALL = (*CLUSTER_MODULES, KWOK, KUEUE)


def binary(name: str) -> Path:
    """The path of the program `name`: from $KUBEBUILDER_ASSETS, from the cache, or built now."""
    module = next(module for module in ALL if name in module.packages)
    given = _given(name)
    if given:
        return given
    path = _cached(module, name)
    if not path.exists():
        with lock(f"go-{module.name}", f"another process is building {module.name}"):
            if not path.exists():
                _build(module)
    return path


def build_control_plane() -> None:
    """Builds what a control plane without a node needs, and downloads the training-operator's CRDs."""
    for name in (*KUBERNETES.packages, *ETCD.packages):
        binary(name)
    module_source(TRAINING_OPERATOR)


def build_simulated_cluster() -> None:
    """Builds what a cluster of simulated nodes needs, and downloads its manifests."""
    for module in SIMULATED_CLUSTER_MODULES:
        for name in module.packages:
            binary(name)
    for module in (TRAINING_OPERATOR, KWOK, KUEUE):
        module_source(module)


def all_binaries() -> tuple[Path, ...]:
    """The programs of a cluster with a real node, built if they are missing."""
    return tuple(binary(name) for module in CLUSTER_MODULES for name in module.packages)


def module_source(module: Module) -> Path:
    """The folder of the module's own source (manifests, CRDs); cached, so that a second run needs no Go."""
    note = cache_folder("bin") / f"{module.name}-{module.version}.source"
    if note.exists() and Path(note.read_text()).is_dir():
        return Path(note.read_text())
    _go(module, "mod", "download", module.path)
    folder = _go(module, "list", "-m", "-f", "{{.Dir}}", module.path).strip()
    note.write_text(folder)
    return Path(folder)


def _given(name: str) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets or name not in SHARED_WITH_ENVTEST:
        return None
    path = Path(assets) / name
    return path if path.exists() else None


def _cached(module: Module, name: str) -> Path:
    return cache_folder("bin") / f"{name}-{module.version}"


def _build(module: Module) -> None:
    """Builds all binaries of a module in a temporary folder, and moves them to their final names at the end."""
    say(f"building {', '.join(module.packages)} {module.version}, about {module.minutes} min on two cores")
    folder = cache_folder("bin", f".building-{module.name}")
    flags = ("-trimpath", "-ldflags", f"-s -w{module.stamp}")
    for name, package in _grouped(module, folder):
        _go(module, "build", *flags, "-o", name, *package)
    for name in module.packages:
        (folder / name).chmod(0o755)
        (folder / name).rename(_cached(module, name))
    shutil.rmtree(folder)


def _grouped(module: Module, folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """(-o, packages) per `go build`: a single one if each package's last part is the binary's name."""
    if all(package.endswith(f"/{name}") for name, package in module.packages.items()):
        return [(f"{folder}/", tuple(module.packages.values()))]
    return [(str(folder / name), (package,)) for name, package in module.packages.items()]


def _go(module: Module, *arguments: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise HarnessError(
            f"{module.name} {module.version} is not in the cache and cannot be built: there is no `go` on the PATH. "
            "Install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl."
        )
    environment = {**os.environ, "CGO_ENABLED": "0"}
    run = subprocess.run([go, *arguments], cwd=module.folder, env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        raise HarnessError(f"go {arguments[0]} of {module.name} failed:\n{last_lines(run.stderr)}")
    return run.stdout
