"""Which labels and annotations of a question are not its author's to set? The API server's rules, said again.

They are asked here too, because an older CRD may have let the question in.
"""

from collections.abc import Iterator

from sdbench.api.reserved import reserved
from sdbench.api.spec import Spec
from sdbench.core.plan.grid import PlanRefused


def refused_labels(spec: Spec) -> Iterator[PlanRefused]:
    """Each that is refused, with a sentence."""
    for path, keys in (("spec.podLabels", spec.pod_labels), ("spec.podAnnotations", spec.pod_annotations)):
        for key in filter(reserved, keys):
            yield PlanRefused(path, f"{key} is reserved: see docs/scheduling.md")
    for key in spec.pod_annotations:
        if "/" not in key:
            yield PlanRefused("spec.podAnnotations", f"{key} needs a domain, as in example.org/{key}")
