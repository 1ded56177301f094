{{- define "har-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
The name of the objects: at most 44 characters, so that with the longest suffix it has 63; a hash keeps long ones apart.
It begins with a letter and has no dot, as the name of a Service must, though a release's may.
*/}}
{{- define "har-exporter.fullname" -}}
{{- $chart := include "har-exporter.name" . -}}
{{- $made := contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) -}}
{{- $name := default $made .Values.fullnameOverride | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) -}}{{- $name = printf "r%s" $name -}}{{- end -}}
{{- if gt (len $name) 44 -}}{{- $name = printf "%s-%s" ($name | trunc 35 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "har-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "har-exporter.serviceAccountName" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "har-exporter.fullname" .) "default" -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end -}}

{{/* What selectors select by, which must never change. Takes [root, component]. */}}
{{- define "har-exporter.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "har-exporter.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of an object; those that select win. Takes [root, component, further labels …]. */}}
{{- define "har-exporter.labels" -}}
{{- $root := index . 0 -}}
{{- $labels := deepCopy $root.Values.commonLabels -}}
{{- range slice . 2 -}}{{- $labels = mustMergeOverwrite $labels (deepCopy .) -}}{{- end -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" ($root.Chart.AppVersion | toString)
  "app.kubernetes.io/managed-by" $root.Release.Service
-}}
{{- $selecting := include "har-exporter.selector" (list $root (index . 1)) | fromYaml -}}
{{- mustMergeOverwrite $labels $own $selecting | toYaml -}}
{{- end -}}

{{/* The metadata of an object. Takes a dict: root, and optionally name or suffix, component, namespace, labels, annotations. */}}
{{- define "har-exporter.metadata" -}}
{{- $root := .root -}}
name: {{ default (printf "%s%s" (include "har-exporter.fullname" $root) (default "" .suffix)) .name | quote }}
namespace: {{ default (include "har-exporter.namespace" $root) .namespace | quote }}
labels:
  {{- include "har-exporter.labels" (list $root (default "exporter" .component) (default dict .labels)) | nindent 2 }}
{{- with mustMergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy (default dict .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "har-exporter.image" -}}
{{- $image := .Values.image -}}
{{- $place := list (default $image.registry .Values.global.imageRegistry) $image.repository | compact | join "/" -}}
{{- if $image.digest -}}{{- printf "%s@%s" $place $image.digest -}}
{{- else -}}{{- printf "%s:%s" $place (default .Chart.AppVersion $image.tag | toString) -}}{{- end -}}
{{- end -}}

{{/* What the exporter speaks: http, or what the web configuration makes of it. */}}
{{- define "har-exporter.scheme" -}}
{{- .Values.webConfig.existingSecret.name | empty | ternary "http" .Values.webConfig.scheme -}}
{{- end -}}

{{- define "har-exporter.pods" -}}
{{- .Values.sharding.enabled | ternary .Values.sharding.shards .Values.replicaCount | int -}}
{{- end -}}

{{/* A duration of Prometheus in milliseconds. */}}
{{- define "har-exporter.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhd])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* How monitors reach the exporter; all of an endpoint but its port and path. Takes [root, values of the monitor]. */}}
{{- define "har-exporter.access" -}}
{{- $root := index . 0 -}}
scheme: {{ include "har-exporter.scheme" $root }}
{{- if $root.Values.webConfig.existingSecret.name }}
{{- with $root.Values.webConfig.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.webConfig.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The endpoint of a ServiceMonitor or PodMonitor. Takes [root, values of the monitor]. */}}
{{- define "har-exporter.endpoint" -}}
{{- $monitor := index . 1 -}}
port: http
path: /metrics
interval: {{ $monitor.interval }}
scrapeTimeout: {{ $monitor.scrapeTimeout }}
honorLabels: {{ $monitor.honorLabels }}
{{ include "har-exporter.access" . }}
{{- with $monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
