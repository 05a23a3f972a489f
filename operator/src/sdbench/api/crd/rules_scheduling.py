"""Lists the CEL rules of placements, labels and annotations."""

from sdbench.api.crd.rules import Rule
from sdbench.api.reserved import ALLOWED, DOMAINS, RESERVED_NAMES
from sdbench.api.spec_fields import KEY_LIMIT, KEY_PATTERN
from sdbench.api.spec_scheduling import HOSTNAME

_DOMAINS = "|".join(domain.replace(".", "[.]") for domain in DOMAINS)
_RESERVED = f"(k.matches('^([^/]*[.])?({_DOMAINS})/') && !(k in {list(ALLOWED)}) || k in {list(RESERVED_NAMES)})"

NOT_RESERVED = "the domain of a key is reserved: see docs/scheduling.md"
WELL_FORMED = "a key is at most 63 letters, digits, dashes, dots and underscores, after a domain and / where it has one"
NEEDS_DOMAIN = "the key of an annotation needs a domain, as in example.org/team"


def _keys(at: str) -> Rule:
    return Rule(at, f"self.all(k, k.size() <= {KEY_LIMIT} && k.matches(r'{KEY_PATTERN}'))", WELL_FORMED)


def _not_reserved(at: str) -> Rule:
    return Rule(at, f"!self.exists(k, {_RESERVED})", NOT_RESERVED)


TOLERATIONS = (
    Rule(
        "spec.scheduling.tolerations",
        "self.all(t, has(t.key) || t.operator == 'Exists')",
        "name a key, or set operator to Exists to tolerate every taint",
    ),
    Rule(
        "spec.scheduling.tolerations",
        "self.all(t, !has(t.value) || t.operator == 'Equal')",
        "value goes with operator Equal only",
    ),
    Rule(
        "spec.scheduling.tolerations",
        "self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')",
        "tolerationSeconds goes with effect NoExecute only",
    ),
)

TOPOLOGY = (
    Rule(
        "spec.scheduling",
        "self.topologyMode != 'Spread' || has(self.topologyKey)",
        "name the node label over whose values the pods are spread",
        ".topologyKey",
        "FieldValueRequired",
    ),
    Rule(
        "spec.scheduling",
        f"!(self.onePodPerNode && self.topologyMode == 'Together' && has(self.topologyKey)"
        f" && self.topologyKey == '{HOSTNAME}')",
        "all pods on one node, and never two on one: only one of them can hold",
        ".onePodPerNode",
    ),
)

PLACING = (
    *TOLERATIONS,
    *TOPOLOGY,
    _keys("spec.scheduling.nodeSelector"),
    _keys("spec.podLabels"),
    _keys("spec.podAnnotations"),
    _not_reserved("spec.podLabels"),
    _not_reserved("spec.podAnnotations"),
    Rule("spec.podAnnotations", "self.all(k, k.contains('/'))", NEEDS_DOMAIN),
)
