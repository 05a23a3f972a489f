"""Tests which labels and annotations an author may set."""

import pytest
from pydantic import ValidationError

from sdbench.api.reserved import reserved
from sdbench.api.spec_scheduling import Scheduling, Toleration

OURS = [
    *("sdbench.dev/trial", "app.kubernetes.io/name", "training.kubeflow.org/job-name", "kueue.x-k8s.io/queue-name"),
    *("scheduling.volcano.sh/group-name", "k8s.v1.cni.cncf.io/networks", "sidecar.istio.io/proxyImage"),
    *("vault.hashicorp.com/agent-inject", "iam.amazonaws.com/role", "azure.workload.identity/use", "aadpodidbinding"),
    *("container.apparmor.security.beta.kubernetes.io/pytorch", "kubernetes.io/x", "a.b.openshift.io/x"),
]
THEIRS = [
    *("team", "example.org/cost-centre", "notkubernetes.io/x", "kubernetes.io.example.org/x", "istio.io"),
    *("sidecar.istio.io/inject", "linkerd.io/inject", "prometheus.io/scrape"),
]


@pytest.mark.parametrize("key", OURS)
def test_a_key_that_a_component_of_the_cluster_acts_upon_is_reserved(key: str) -> None:
    assert reserved(key)


@pytest.mark.parametrize("key", THEIRS)
def test_any_other_key_is_allowed(key: str) -> None:
    assert not reserved(key)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value": "x"}, "name a key"),
        ({"key": "a", "operator": "Exists", "value": "x"}, "value goes with operator Equal only"),
        ({"key": "a", "tolerationSeconds": 5}, "tolerationSeconds goes with effect NoExecute only"),
        ({"key": "a", "effect": "Never"}, "Input should be 'NoSchedule'"),
    ],
)
def test_a_toleration_that_kubernetes_refuses_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Toleration.model_validate(wrong)


def test_scheduling_has_no_field_for_an_account() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Scheduling.model_validate({"serviceAccountName": "admin"})
