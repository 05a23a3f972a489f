{{/* Finds another release's CRD that this release can use unchanged, such as one left by an uninstalled release. */}}

{{/* The checksum that identifies a version of the CRD. */}}
{{- define "sdbench.definition" -}}
{{- .Files.Get "files/crd.yaml" | sha256sum -}}
{{- end -}}

{{/*
Returns "RELEASE in NAMESPACE", the owner of the CRD, if that CRD is identical and has the policy `keep`, so that leaving
it out here can never delete it; otherwise returns nothing. Helm does not touch what another release owns, unless it is
given --take-ownership, which is needed only if the CRD differs.
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
