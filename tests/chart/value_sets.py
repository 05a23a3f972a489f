"""With which values is the chart tried? Each set is one way to install it."""

from typing import Any

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two namespaces": {"watchNamespaces": ["team-a", "team-b"]},
    "monitored": {
        "monitoring": {
            "podMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "kube-prometheus-stack"}},
            "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Benchmarks"}},
        }
    },
    "monitored namespace": {
        "watchNamespaces": ["team-a"],
        "monitoring": {"podMonitor": {"enabled": True}, "dashboards": {"enabled": True}},
    },
    "an account that exists": {
        "crds": {"enabled": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "given"},
    },
    "bounded": {"bounds": {"maxDevices": 1_000_000, "deviceHours": "0.5", "concurrentTrials": 2}},
    "with presets": {
        "presets": {
            "rdma": {
                "environment": {"NCCL_IB_HCA": "mlx5_0,mlx5_1", "NCCL_NOTE": "${HOME} {{ x }} <&> $(A)"},
                "resources": {"rdma/hca": "1"},
                "annotations": {"k8s.v1.cni.cncf.io/networks": '[{"name": "rdma"}]'},
            },
            "plain": {},
        }
    },
    "placed": {
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "control"},
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "research", "app.kubernetes.io/name": "not-this"},
        "podAnnotations": {"example.org/note": "yes"},
        "resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
        "fullnameOverride": "benchmarks",
    },
}
