{{/* Names, labels and images of a release's objects. */}}

{{- define "sdbench.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{- define "sdbench.fullname" -}}
{{- $name := include "sdbench.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* A name for cluster-wide objects, which differs between releases of one name in different namespaces. */}}
{{- define "sdbench.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "sdbench.fullname" .) -}}
{{- end -}}

{{- define "sdbench.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sdbench.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of the pod of `helm test`. */}}
{{- define "sdbench.testLabels" -}}
app.kubernetes.io/name: {{ include "sdbench.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "sdbench.labels" -}}
{{ include "sdbench.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sdbench.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sdbench.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false: set serviceAccount.name to the operator's account" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The reference of an image. Takes a dict of `image` (repository, tag, digest) and `version` (the default tag). */}}
{{- define "sdbench.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .version .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The expression that selects every training pod. */}}
{{- define "sdbench.isTrainingPod" -}}
{key: sdbench.dev/benchmark, operator: Exists}
{{- end -}}
