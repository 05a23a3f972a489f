{{/* Is there a CRD of another release that this one can use as it is? An uninstalled release leaves its own behind. */}}

{{/* What tells one version of the CRD from another. */}}
{{- define "sdbench.definition" -}}
{{- .Files.Get "files/crd.yaml" | sha256sum -}}
{{- end -}}

{{/*
"RELEASE in NAMESPACE", the owner of a CRD that is the same and is kept, so that leaving it out can never delete it; else
nothing. Helm itself refuses to touch what another release owns, unless it is told to --take-ownership: that is needed
only where the CRD differs.
*/}}
{{- define "sdbench.crdOfAnother" -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "stablediffusionbenchmarks.sdbench.dev" | default dict }}
{{- $said := dig "metadata" "annotations" dict $found | default dict }}
{{- $name := get $said "meta.helm.sh/release-name" }}
{{- $namespace := get $said "meta.helm.sh/release-namespace" }}
{{- $ours := and (eq $name .Release.Name) (eq $namespace .Release.Namespace) }}
{{- $same := eq (get $said "sdbench.dev/definition") (include "sdbench.definition" .) }}
{{- $kept := eq (get $said "helm.sh/resource-policy") "keep" }}
{{- if and $name (not $ours) $same $kept -}}
{{ $name }} in {{ $namespace }}
{{- end -}}
{{- end -}}
