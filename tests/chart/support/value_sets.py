"""Lists the sets of values with which the chart is tested; each is one way to install it."""

from typing import Any

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "all on": {
        "trainer": {
            "imagePullSecrets": [{"name": "registry"}],
            "serviceAccountName": "shard-reader",
            "proxy": {
                "http": "http://proxy.example:3128",
                "https": "https://proxy.example",
                "noProxy": "10.0.0.0/8,.lan",
            },
            "caBundle": {"configMap": "authorities", "key": "bundle.pem"},
        },
        "imagePullSecrets": [{"name": "registry"}],
        "bounds": {"maxDevices": 256, "deviceHours": "500", "concurrentTrials": 1},
        "presets": {"rdma": {"environment": {"NCCL_IB_HCA": "mlx5"}, "resources": {"rdma/hca": "1"}}},
        "monitoring": {
            "podMonitor": {"enabled": True},
            "serviceMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "kube-prometheus-stack"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
            "dashboards": {"enabled": True},
        },
        "networkPolicy": {
            "enabled": True,
            "namespaces": ["team-a", "team-b"],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "169.254.169.252/32"}}], "ports": [{"port": 988}]}],
        },
        "kueue": {"localQueues": [{"name": "benchmarks", "namespace": "team-a", "clusterQueue": "gpus"}]},
        "policies": {
            "enabled": True,
            "default": {"images": ["ghcr.io/sdbench/trainer"], "maxDevices": 8, "deviceHours": "5"},
            "namespaces": {"team-a": {"images": ["registry.example/trainer"], "maxDevices": 16, "deviceHours": "50"}},
        },
        "test": {"benchmark": True},
    },
    "two namespaces": {"watchNamespaces": ["team-a", "team-b"]},
    "two namespaces, closed": {"watchNamespaces": ["team-a", "team-b"], "networkPolicy": {"enabled": True}},
    "no CRDs": {"crds": {"enabled": False}},
    "no monitoring": {
        "monitoring": {
            "podMonitor": {"enabled": False},
            "serviceMonitor": {"enabled": False},
            "prometheusRule": {"enabled": False},
            "dashboards": {"enabled": False},
        }
    },
    "image pull secrets": {
        "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
        "trainer": {"imagePullSecrets": [{"name": "registry"}]},
    },
    "digest": {
        "image": {"digest": "sha256:" + 64 * "a"},
        "trainer": {"image": {"digest": "sha256:" + 64 * "b"}},
    },
    "allow-list": {
        "policies": {
            "enabled": True,
            "default": {"images": ["ghcr.io/sdbench/trainer"]},
            "namespaces": {"team-a": {"images": ["registry.example/a/trainer", "registry.example/b/trainer"]}},
        }
    },
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
    "an existing account": {
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
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"team": "research"}},
            }
        ],
        "podLabels": {"team": "research", "app.kubernetes.io/name": "not-this"},
        "podAnnotations": {"example.org/note": "yes"},
        "resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
        "revisionHistoryLimit": 0,
        "fullnameOverride": "benchmarks",
    },
}
