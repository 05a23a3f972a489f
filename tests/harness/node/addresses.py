"""Holds the cluster's fixed addresses, all from one private range.

this machine 10.231.0.1 ═══ veth ═══ 10.231.0.2 node ─── bridge 10.231.1.1 ─── pods 10.231.1.0/24
API server, S3, Prometheus           kubelet, kube-proxy, CoreDNS              services 10.231.128.0/17
"""

MACHINE = "10.231.0.1"
NODE = "10.231.0.2"
LINK_PREFIX = 24
PODS = "10.231.1.0/24"
SERVICES = "10.231.128.0/17"
SERVICE_OF_API = "10.231.128.1"

MACHINE_LINK = "sdbench0"
NODE_LINK = "eth0"
BRIDGE = "sdbench-pods"
