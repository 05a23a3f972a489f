"""Makes this machine a node: namespaces, containerd, kubelet, kube-proxy and CoreDNS; or simulates nodes with kwok."""
