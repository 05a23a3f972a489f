"""Lists the CEL rules of scheduling, labels and annotations."""

from sdbench.api.reserved import ALLOWED, DOMAINS, RESERVED_NAMES, reserved
from sdbench.api.rule import Rule
from sdbench.api.spec_fields import KEY_LIMIT, KEY_PATTERN
from sdbench.api.spec_scheduling import Scheduling, Toleration

_DOMAINS = "|".join(domain.replace(".", "[.]") for domain in DOMAINS)
_RESERVED = f"(k.matches('^([^/]*[.])?({_DOMAINS})/') && !(k in {list(ALLOWED)}) || k in {list(RESERVED_NAMES)})"


def _well_formed(at: str) -> Rule:
    return Rule(
        at,
        f"self.all(k, k.size() <= {KEY_LIMIT} && k.matches(r'{KEY_PATTERN}'))",
        "a key is at most 63 letters, digits, dashes, dots and underscores, after a domain and / where it has one",
    )


def _not_reserved(at: str) -> Rule:
    return Rule(
        at,
        f"!self.exists(k, {_RESERVED})",
        "the domain of a key is reserved: see docs/scheduling.md",
        check=lambda keys: not any(map(reserved, keys)),
    )


LABELS = (_well_formed("spec.podLabels"), _not_reserved("spec.podLabels"))

ANNOTATIONS = (
    _well_formed("spec.podAnnotations"),
    _not_reserved("spec.podAnnotations"),
    Rule(
        "spec.podAnnotations",
        "self.all(k, k.contains('/'))",
        "the key of an annotation needs a domain, as in example.org/team",
        check=lambda keys: all("/" in key for key in keys),
    ),
)

SCHEDULING = (*Toleration.RULES, *Scheduling.RULES, _well_formed("spec.scheduling.nodeSelector"))
