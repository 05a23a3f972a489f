{{/* What must the cluster serve? A switch for something that it does not know fails the render with a sentence. */}}

{{/* From a dict of `root`, `switch` (the value that asks), `api` (group/version/Kind) and `install` (what brings it). */}}
{{- define "sdbench.demand" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s: this cluster serves no %s. Install %s first, or leave the value as it is by default. (helm template sees no cluster: add --api-versions %s.)" .switch .api .install .api) -}}
{{- end -}}
{{- end -}}
