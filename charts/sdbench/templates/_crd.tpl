{{/* Finds the CRD of another release that this one can use as it is, such as one that an uninstalled release has left. */}}

{{/* The checksum that identifies a version of the CRD. */}}
{{- define "sdbench.definition" -}}
{{- .Files.Get "files/crd.yaml" | sha256sum -}}
{{- end -}}

{{/*
"RELEASE in NAMESPACE", the owner of a CRD that is identical and is kept, so leaving it out can never delete it; else
nothing. Helm refuses to touch what another release owns without --take-ownership, which is needed only if the CRD
differs.
*/}}
{{- define "sdbench.crdOfAnother" -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "stablediffusionbenchmarks.sdbench.dev" | default dict }}
{{- $annotations := dig "metadata" "annotations" dict $found | default dict }}
{{- $name := get $annotations "meta.helm.sh/release-name" }}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" }}
{{- $ours := and (eq $name .Release.Name) (eq $namespace .Release.Namespace) }}
{{- $same := eq (get $annotations "sdbench.dev/definition") (include "sdbench.definition" .) }}
{{- $kept := eq (get $annotations "helm.sh/resource-policy") "keep" }}
{{- if and $name (not $ours) $same $kept -}}
{{ $name }} in {{ $namespace }}
{{- end -}}
{{- end -}}
