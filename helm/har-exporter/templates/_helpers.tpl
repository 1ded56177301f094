{{- define "har-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
Name of the objects. It has at most 44 characters, so that it has at most 63 with the longest suffix; a hash keeps long
names unique. It starts with a letter and has no dots: a Service name requires this, but a release name does not.
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

{{/* Selector labels, which must never change. Takes [root, component]. */}}
{{- define "har-exporter.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "har-exporter.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object; selector labels have precedence. Takes [root, component, more labels …]. */}}
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

{{/* Metadata of an object. Takes a dict: root; optional: name or suffix, component, namespace, labels, annotations. */}}
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
{{- $pasted := regexFind "^([^/]*[.:][^/]*|localhost)/" $image.repository -}}
{{- $registry := coalesce .Values.global.imageRegistry (trimSuffix "/" $pasted) $image.registry -}}
{{- $place := list $registry (trimPrefix $pasted $image.repository) | compact | join "/" -}}
{{- if $image.digest -}}{{- printf "%s@%s" $place $image.digest -}}
{{- else -}}{{- printf "%s:%s" $place (default .Chart.AppVersion $image.tag | toString) -}}{{- end -}}
{{- end -}}

{{/* Scheme of the exporter: http, or webConfig.scheme if there is a web configuration. */}}
{{- define "har-exporter.scheme" -}}
{{- .Values.webConfig.existingSecret.name | empty | ternary "http" .Values.webConfig.scheme -}}
{{- end -}}

{{- define "har-exporter.pods" -}}
{{- .Values.sharding.enabled | ternary .Values.sharding.shards .Values.replicaCount | int -}}
{{- end -}}

{{/* Converts a Prometheus duration to milliseconds. */}}
{{- define "har-exporter.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhd])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* Scheme, TLS and login of a monitor's endpoint. Takes [root, values of the monitor]. */}}
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

{{/* Endpoint of a ServiceMonitor or PodMonitor. Takes [root, values of the monitor]. */}}
{{- define "har-exporter.endpoint" -}}
{{- $monitor := index . 1 -}}
port: http
path: /metrics
{{- with $monitor.interval }}
interval: {{ . }}
scrapeTimeout: {{ $monitor.scrapeTimeout }}
{{- end }}
honorLabels: {{ $monitor.honorLabels }}
{{ include "har-exporter.access" . }}
{{- with $monitor.relabelings }}
relabelings:
  {{- include "har-exporter.relabelings" . | nindent 2 }}
{{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- include "har-exporter.relabelings" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Fields of the spec that monitors share, as far as they are given. Takes the values of the monitor. */}}
{{- define "har-exporter.monitor" -}}
{{- range $name := list "sampleLimit" "scrapeClass" "targetLabels" "podTargetLabels" "attachMetadata" }}
{{- with get $ $name }}
{{ $name }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Relabelings with the default action, which the API server would add: the lists would then differ for ever. */}}
{{- define "har-exporter.relabelings" -}}
{{- range . }}
- {{- merge (deepCopy .) (dict "action" "replace") | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The text of a rule file with other links, and with more labels in every aggregation, join and query of a text. */ -}}
{{- define "har-exporter.rules" -}}
{{- $text := .text }}
{{- with .values.runbookBase }}{{ $text = replace "https://github.com/har-exporter/har-exporter/blob/main/grafana/runbooks/" . $text }}{{ end }}
{{- with .values.dashboardBase }}{{ $text = replace "dashboard_url: '/d/" (printf "dashboard_url: '%s/d/" (trimSuffix "/" .)) $text }}{{ end }}
{{- with .values.keepLabels }}
{{- $names := join ", " . }}
{{- $matchers := join "=%q," . }}
{{- $values := join " $labels." . }}
{{- $text = $text | replace " by (" (printf " by (%s, " $names) | replace " on (" (printf " on (%s, " $names) }}
{{- range $own := list "space" "job" }}
{{- $text = $text | replace (printf "%s=%%q" $own) (printf "%s=%%q,%s=%%q" $matchers $own) }}
{{- $text = $text | replace (printf "` $labels.%s" $own) (printf "` $labels.%s $labels.%s" $values $own) }}
{{- end }}
{{- end }}
{{- $text }}
{{- end }}
