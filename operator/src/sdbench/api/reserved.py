"""Lists the labels and annotations that an author may not set, because something in the cluster acts upon them.

A label or annotation can be a right: it mounts a volume through a sidecar's injector, takes a cloud identity, attaches
a network, loosens a sandbox, or makes a pod another's. Who may create Benchmarks need not have these rights.
"""

DOMAINS = (
    # The owners of our jobs and pods, Kubernetes, and what grew around it (Kueue among them).
    *("sdbench.dev", "kubeflow.org", "kubernetes.io", "k8s.io", "x-k8s.io", "volcano.sh", "openshift.io"),
    # Sidecars: their annotations replace images, mount volumes and fetch secrets.
    *("istio.io", "linkerd.io", "hashicorp.com", "dapr.io"),
    # Networks: further interfaces, fixed addresses, bandwidth.
    *("cncf.io", "projectcalico.org", "cilium.io", "ovn.org"),
    # Identities of a cloud.
    *("amazonaws.com", "azure.com", "azure.workload.identity", "gke.io"),
    # Sandboxes and devices of a node, and who watches over them.
    *("cri-o.io", "crio.io", "containerd.io", "kata-containers.io", "nri.io", "nvidia.com", "kyverno.io"),
)
"""A key is reserved if its domain is one of these, or below one."""

ALLOWED = ("sidecar.istio.io/inject", "linkerd.io/inject", "cluster-autoscaler.kubernetes.io/safe-to-evict")
"""Whether the mesh's own sidecar is there: where it is injected everywhere, a training must be able to say no. And
whether an autoscaler may take the pods away."""

RESERVED_NAMES = ("aadpodidbinding",)
"""Labels without a domain that are rights all the same."""


def reserved(key: str) -> bool:
    """Whether an author may not set a label or an annotation of this key."""
    domain, slash, _ = key.rpartition("/")
    if not slash:
        return key in RESERVED_NAMES
    return key not in ALLOWED and any(domain == one or domain.endswith(f".{one}") for one in DOMAINS)
