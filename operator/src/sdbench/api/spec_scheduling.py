"""Defines `spec.scheduling`: queue, nodes, tolerations, topology and presets, as frozen types."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from sdbench.api.rule import Rule, SpecPart
from sdbench.api.spec_fields import PART, SUBDOMAIN, AnnotationValue, Key, LabelValue, ObjectName, ShortName
from sdbench_trainer.config import Boundary

# The node label whose value no other node has.
HOSTNAME = "kubernetes.io/hostname"


class TolerationOperator(StrEnum):
    """How a toleration's key and value are compared with a taint's."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class Effect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(SpecPart):
    """A taint that the pods tolerate, as in a Pod."""

    key: Key | None = Field(None, description="Key of the taint. Absent, with operator Exists: every taint.")
    operator: TolerationOperator = Field(
        TolerationOperator.EQUAL, description="Equal: the taint has this value. Exists: whatever its value is."
    )
    value: LabelValue | None = Field(None, description="Value of the taint; with operator Equal only. Absent: empty.")
    effect: Effect | None = Field(None, description="Effect of the taint. Absent: each of them.")
    toleration_seconds: int | None = Field(
        None, ge=0, le=604_800, description="With effect NoExecute: how long the pods stay. Absent: for ever."
    )

    RULES = (
        Rule(
            "spec.scheduling.tolerations",
            "self.all(t, has(t.key) || t.operator == 'Exists')",
            "name a key, or set operator to Exists to tolerate every taint",
            check=lambda one: one.key is not None or one.operator is TolerationOperator.EXISTS,
        ),
        Rule(
            "spec.scheduling.tolerations",
            "self.all(t, !has(t.value) || t.operator == 'Equal')",
            "value goes with operator Equal only",
            check=lambda one: one.value is None or one.operator is TolerationOperator.EQUAL,
        ),
        Rule(
            "spec.scheduling.tolerations",
            "self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')",
            "tolerationSeconds goes with effect NoExecute only",
            check=lambda one: one.toleration_seconds is None or one.effect is Effect.NO_EXECUTE,
        ),
    )


class TopologyMode(StrEnum):
    """What topologyKey is for."""

    TOGETHER = "Together"
    SPREAD = "Spread"


class Scheduling(SpecPart):
    """How the pods wait for devices, and on which nodes they run."""

    queue_name: ShortName | None = Field(
        None, description="Kueue's LocalQueue; with gang also the gang scheduler's queue. Absent: no queue."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    scheduler_name: ObjectName | None = Field(None, description="Scheduler of the pods. Absent: the cluster's default.")
    gang: bool = Field(
        False, description="Ask the training-operator's gang scheduler, if it has one, for all pods or none."
    )
    node_selector: dict[Key, LabelValue] = Field({}, max_length=32, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field((), max_length=32, description="Taints that the pods tolerate.")
    one_pod_per_node: bool = Field(False, description="Never two pods of an Attempt on one node.")
    topology_key: Key | None = Field(
        None, description="Node label that names a part of the cluster, such as topology.kubernetes.io/zone or a rack."
    )
    topology_mode: TopologyMode = Field(
        TopologyMode.TOGETHER,
        description="Together: all pods of an Attempt in one part. Spread: as evenly over the parts as can be.",
    )
    excluded_nodes: tuple[ObjectName, ...] = Field((), max_length=64, description="Nodes that get none of the pods.")
    preset: ShortName | None = Field(
        None, description="The administrator's set of environment and resources for the fabric of the devices."
    )

    RULES = (
        Rule(
            "spec.scheduling:topologyKey",
            "self.topologyMode != 'Spread' || has(self.topologyKey)",
            "name the node label over whose values the pods are spread",
            "FieldValueRequired",
            check=lambda one: one.topology_mode is not TopologyMode.SPREAD or one.topology_key is not None,
        ),
        Rule(
            "spec.scheduling:onePodPerNode",
            f"!(self.onePodPerNode && self.topologyMode == 'Together' && has(self.topologyKey)"
            f" && self.topologyKey == '{HOSTNAME}')",
            "all pods on one node, and never two on one: only one of them can hold",
            check=lambda one: (
                not (
                    one.one_pod_per_node and one.topology_mode is TopologyMode.TOGETHER and one.topology_key == HOSTNAME
                )
            ),
        ),
    )


EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
EnvironmentValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$", max_length=512)]
ExtendedResource = Annotated[str, StringConstraints(pattern=f"^{SUBDOMAIN}/{PART}$", max_length=128)]
Amount = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")]


class Preset(Boundary):
    """An interconnect's settings, which an administrator adds to the pods of the Benchmarks that name the Preset."""

    environment: dict[EnvironmentName, EnvironmentValue] = Field(
        {}, max_length=64, description="Variables of the training container, such as NCCL_IB_HCA."
    )
    resources: dict[ExtendedResource, Amount] = Field(
        {}, max_length=8, description="Extended resources of each pod, such as rdma/hca."
    )
    annotations: dict[Key, AnnotationValue] = Field(
        {}, max_length=8, description="Annotations of each pod, such as k8s.v1.cni.cncf.io/networks."
    )
