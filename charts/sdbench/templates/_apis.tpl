{{/*
Fails the render if a switch needs an API that the cluster does not serve. Takes a dict of `root`, `switch` (the value that
needs the API), `api` (group/version/Kind) and `install` (what serves it).
*/}}
{{- define "sdbench.demand" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s: this cluster does not serve %s. Install %s first, or keep the value's default. (helm template has no cluster: add --api-versions %s.)" .switch .api .install .api) -}}
{{- end -}}
{{- end -}}
