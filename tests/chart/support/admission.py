"""Finds the ValidatingAdmissionPolicy of a release and its binding."""

from chart.support.rendering import Helm, Manifest, Values, of_kind

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SERVED = ("--api-versions", f"admissionregistration.k8s.io/v1/{POLICY}")


def rendered(helm: Helm, policies: Values, watched: tuple[str, ...] = (), *options: str) -> tuple[Manifest, ...]:
    """The policy and its binding as Helm renders them."""
    values = {"policies": {"enabled": True, **policies}, "watchNamespaces": list(watched)}
    return of_kind(helm.render(values, *SERVED, *options), POLICY, BINDING)
