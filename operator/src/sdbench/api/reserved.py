"""Lists the labels and annotations that an author may not set, because something in the cluster acts upon them.

Such a key is a right that an author of Benchmarks need not have: it mounts a volume through a sidecar's injector, takes
a cloud identity, attaches a network, loosens a sandbox, or gives the pod another owner.
"""

DOMAINS = (
    # Kubernetes, its extensions such as Kueue, and the owners of the jobs and pods.
    *("sdbench.dev", "kubeflow.org", "kubernetes.io", "k8s.io", "x-k8s.io", "volcano.sh", "openshift.io"),
    # Sidecars, whose annotations replace images, mount volumes and fetch secrets.
    *("istio.io", "linkerd.io", "hashicorp.com", "dapr.io"),
    # Networks, which add interfaces and set addresses and bandwidth.
    *("cncf.io", "projectcalico.org", "cilium.io", "ovn.org"),
    # Cloud identities.
    *("amazonaws.com", "azure.com", "azure.workload.identity", "gke.io"),
    # Sandboxes and devices of a node, and the policies about them.
    *("cri-o.io", "crio.io", "containerd.io", "kata-containers.io", "nri.io", "nvidia.com", "kyverno.io"),
)
"""A key is reserved if its domain is one of these or a subdomain of one."""

# With these an author refuses a sidecar that the mesh injects everywhere, or an autoscaler's eviction of the pods.
ALLOWED = ("sidecar.istio.io/inject", "linkerd.io/inject", "cluster-autoscaler.kubernetes.io/safe-to-evict")
# Labels without a domain.
RESERVED_NAMES = ("aadpodidbinding",)


def reserved(key: str) -> bool:
    """Whether an author may not set a label or an annotation of this key."""
    domain, slash, _ = key.rpartition("/")
    if not slash:
        return key in RESERVED_NAMES
    return key not in ALLOWED and any(domain == one or domain.endswith(f".{one}") for one in DOMAINS)
