"""Runs a real control plane: etcd, API server, controller manager and scheduler."""

import contextlib
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.control_plane import kubeconfig
from harness.control_plane.certificates import Authority
from harness.daemons import Daemon, daemon, direct_environment
from harness.failure import HarnessError
from harness.node import addresses
from harness.polling import until
from harness.ports import accepts, free_ports
from harness.runs import Run, new_run
from harness.tools import TRAINING_OPERATOR, binary, module_source

LOOPBACK = "127.0.0.1"
NO_OPTIONS: Mapping[str, Sequence[str]] = {}

PYTORCHJOB_CRD = "manifests/base/crds/kubeflow.org_pytorchjobs.yaml"


class ControlPlane:
    """A context manager: inside, an API server responds at `server`; afterwards nothing of it is left.

    `address` is where the API server listens: loopback, unless pods must reach it.
    `run` is the run of a Cluster that the control plane is part of; by default it has a run of its own.
    `options` maps a program's name to additional arguments.
    """

    def __init__(
        self, address: str = LOOPBACK, run: Run | None = None, options: Mapping[str, Sequence[str]] = NO_OPTIONS
    ) -> None:
        self._address = address
        self._given_run = run
        self._options = options
        self._programs: dict[str, tuple[Daemon, list[str | Path]]] = {}
        self._stack = contextlib.ExitStack()
        self.folder: Path = Path()
        self.server: str = ""
        self.kubeconfig: Path = Path()

    def __enter__(self) -> Self:
        with self._stack as starting:
            self._run = self._given_run or starting.enter_context(new_run("control-plane"))
            self.folder = self._run.folder
            self.authority = Authority(self.folder / "pki")
            self._start(starting)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """The standard output of kubectl as cluster administrator; with `check`, a failure raises with its stderr."""
        program = [binary("kubectl"), "--kubeconfig", self.kubeconfig, "--cache-dir", self.folder / "kubectl"]
        command = [str(part) for part in (*program, *arguments)]
        run = subprocess.run(command, env=direct_environment(), input=input, capture_output=True, text=True)
        if check and run.returncode != 0:
            raise HarnessError(f"kubectl {' '.join(map(str, arguments))} failed: {run.stderr.strip()}")
        return run.stdout

    def client_kubeconfig(self, name: str, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig for a user with a client certificate: `name` in `groups`."""
        pair = self.authority.issue(name.replace(":", "-"), name, groups)
        path = self.folder / f"{name.replace(':', '-')}.kubeconfig"
        return kubeconfig.with_certificate(path, self.server, self.authority.certificate, pair)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with the token of an existing ServiceAccount."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration", "24h").strip()
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        return kubeconfig.with_token(path, self.server, self.authority.certificate, token, namespace)

    @contextlib.contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Kills the API server for the block; afterwards it runs again at the same address."""
        self._programs["kube-apiserver"][0].stop(gently=False)
        try:
            yield
        finally:
            self.restart("kube-apiserver")

    @contextlib.contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """Stops the API server's process for the block: it accepts connections and does not respond."""
        api = self._programs["kube-apiserver"][0]
        api.pause()
        try:
            yield
        finally:
            api.resume()

    def install_pytorchjob_crd(self) -> None:
        """Installs the CRD without webhook and operator; tests then play the training-operator themselves."""
        # Server-side, because the CRD exceeds the size limit of a client-side apply's annotation.
        self.kubectl("apply", "--server-side", "-f", module_source(TRAINING_OPERATOR) / PYTORCHJOB_CRD)
        until(lambda: self.serves("kubeflow.org/v1", "pytorchjobs"), 60, "the API server to serve PyTorchJobs")

    def serves(self, group_version: str, plural: str) -> bool:
        """Whether the API server serves a resource; `kubectl wait` fails on a CRD that has no conditions yet."""
        known = self.kubectl("get", "--raw", f"/apis/{group_version}", check=False)
        return f'"name":"{plural}"' in known

    def _start(self, stack: contextlib.ExitStack) -> None:
        etcd_port, peer_port, controllers_port, scheduler_port = free_ports(4)
        (api_port,) = free_ports(1, self._address)
        self.server = f"https://{self._address}:{api_port}"
        self.administrator = self.authority.issue("admin", "admin", ("system:masters",))
        path = self.folder / "admin.kubeconfig"
        self.kubeconfig = kubeconfig.with_certificate(path, self.server, self.authority.certificate, self.administrator)
        self._start_etcd(stack, etcd_port, peer_port)
        api = stack.enter_context(self._started("kube-apiserver", self._api_command(api_port, etcd_port)))
        api.wait_until(self._api_ready)
        controllers = self._start_controllers(stack, controllers_port)
        scheduler = self._start_scheduler(stack, scheduler_port)
        controllers.wait_until(self._default_account_exists)
        scheduler.wait_until(lambda: accepts(LOOPBACK, scheduler_port))

    def _start_etcd(self, stack: contextlib.ExitStack, port: int, peer_port: int) -> None:
        client, peer = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peer_port}"
        command: list[str | Path] = [
            binary("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        etcd = stack.enter_context(self._started("etcd", command))
        etcd.wait_until(lambda: accepts(LOOPBACK, port))

    def _api_command(self, port: int, etcd_port: int) -> list[str | Path]:
        hosts = ("localhost", LOOPBACK, self._address, addresses.SERVICE_OF_API, "kubernetes.default.svc")
        serving = self.authority.issue("apiserver", "kube-apiserver", hosts=hosts)
        to_kubelet = self.authority.issue("apiserver-kubelet", "kube-apiserver-kubelet", ("system:masters",))
        tokens = self._tokens = self.authority.signing_key("service-accounts")
        # The `kubernetes` Service cannot have a loopback address as its endpoint; without pods nothing uses it.
        endpoints = "none" if self._address == LOOPBACK else "lease"
        return [
            binary("kube-apiserver"),
            f"--etcd-servers=http://{LOOPBACK}:{etcd_port}",
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
            f"--secure-port={port}",
            f"--endpoint-reconciler-type={endpoints}",
            f"--cert-dir={self.folder / 'pki'}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--kubelet-client-certificate={to_kubelet.certificate}",
            f"--kubelet-client-key={to_kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--service-cluster-ip-range={addresses.SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-aggregator-routing",  # webhooks are called at their pods, so this side needs no kube-proxy
            "--allow-privileged",
        ]

    def _start_controllers(self, stack: contextlib.ExitStack, port: int) -> Daemon:
        config = self.client_kubeconfig("system:kube-controller-manager")
        command: list[str | Path] = [
            binary("kube-controller-manager"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--cert-dir={self.folder / 'pki'}",
            f"--root-ca-file={self.authority.certificate}",
            f"--cluster-signing-cert-file={self.authority.certificate}",
            f"--cluster-signing-key-file={self.authority.key}",
            f"--service-account-private-key-file={self._tokens.key}",
            "--use-service-account-credentials",
            "--leader-elect=false",
        ]
        return stack.enter_context(self._started("kube-controller-manager", command))

    def _start_scheduler(self, stack: contextlib.ExitStack, port: int) -> Daemon:
        config = self.client_kubeconfig("system:kube-scheduler")
        command: list[str | Path] = [
            binary("kube-scheduler"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--cert-dir={self.folder / 'pki'}",
            "--leader-elect=false",
        ]
        return stack.enter_context(self._started("kube-scheduler", command))

    @contextlib.contextmanager
    def _started(self, name: str, command: list[str | Path]) -> Iterator[Daemon]:
        with daemon(self._run, name, [*command, *self._options.get(name, ())]) as started:
            self._programs[name] = (started, command)
            yield started

    def restart(self, name: str) -> None:
        """Kills a program and restarts it at the same address; returns once the API server is ready."""
        killed, command = self._programs[name]
        killed.stop(gently=False)
        started = self._stack.enter_context(self._started(name, command))
        started.wait_until(self._api_ready)

    def _api_ready(self) -> bool:
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        no_proxy, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        opener = urllib.request.build_opener(no_proxy, https)
        try:
            with opener.open(f"{self.server}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _default_account_exists(self) -> bool:
        """Whether the controllers work: without the default ServiceAccount no pod can be created in `default`."""
        found = self.kubectl("get", "serviceaccount", "default", "--ignore-not-found", "--output=name", check=False)
        return bool(found.strip())
