{{/* Common parts of the workload pods and the test pod. Takes the root. */}}
{{- define "har-exporter.podBasics" -}}
serviceAccountName: {{ include "har-exporter.serviceAccountName" . | quote }}
automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
enableServiceLinks: false
{{- $secrets := list }}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- range $name := list "nodeSelector" "affinity" "tolerations" "hostAliases" "dnsConfig" }}
{{- with get $.Values $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $name := list "priorityClassName" "runtimeClassName" "schedulerName" }}
{{- with get $.Values $name }}
{{ $name }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- if .Values.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with default (.Values.hostNetwork | ternary "ClusterFirstWithHostNet" "") .Values.dnsPolicy }}
dnsPolicy: {{ . | quote }}
{{- end }}
volumes:
  {{- include "har-exporter.volumes" . | nindent 2 }}
{{- end -}}

{{- define "har-exporter.volumes" -}}
- name: config
  configMap:
    name: {{ include "har-exporter.fullname" . }}
    defaultMode: 0644
{{- with include "har-exporter.keySources" . | trim }}
- name: keys
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with include "har-exporter.caVolume" . }}
- name: ca
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.webConfig.existingSecret.name }}
- name: web
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Mounts whole folders, because Kubernetes never updates a file mounted with subPath. */}}
{{- define "har-exporter.volumeMounts" -}}
- name: config
  mountPath: /etc/har-exporter/config
  readOnly: true
{{- if include "har-exporter.keySources" . | trim }}
- name: keys
  mountPath: /etc/har-exporter/keys
  readOnly: true
{{- end }}
{{- if include "har-exporter.caVolume" . }}
- name: ca
  mountPath: /etc/har-exporter/ca
  readOnly: true
{{- end }}
{{- if .Values.webConfig.existingSecret.name }}
- name: web
  mountPath: /etc/har-exporter/web
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Common parts of the containers that run the exporter with the settings of this release. */}}
{{- define "har-exporter.exporterBasics" -}}
{{ include "har-exporter.containerBasics" . }}
volumeMounts:
  {{- include "har-exporter.volumeMounts" . | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "har-exporter.env" -}}
- name: HAR_EXPORTER_CONFIG
  value: /etc/har-exporter/config/config.yaml
{{- with .Values.proxy.url }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.existingSecret }}
{{- if .name }}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ .name | quote }}
      key: {{ .key | quote }}
{{- end }}
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Image, security context and resources of a container. */}}
{{- define "har-exporter.containerBasics" -}}
image: {{ include "har-exporter.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{/* Kubelet probe. Takes [root, path, timing]. */}}
{{- define "har-exporter.probe" -}}
{{- $root := index . 0 -}}
{{- $web := $root.Values.webConfig -}}
{{- if and $web.existingSecret.name (eq $web.probes "tcpSocket") -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  scheme: {{ include "har-exporter.scheme" $root | upper }}
{{- end }}
{{ toYaml (index . 2) }}
{{- end -}}

{{/*
Strategy of a Deployment with the parameters that the API server would add. What Helm 4 did not set it does not remove, and
Recreate refuses them.
*/}}
{{- define "har-exporter.strategy" -}}
{{- $strategy := deepCopy .Values.updateStrategy -}}
{{- if eq $strategy.type "RollingUpdate" -}}
{{- $rolling := default dict $strategy.rollingUpdate -}}
{{- range $name := list "maxSurge" "maxUnavailable" -}}
{{- if not (hasKey $rolling $name) -}}{{- $_ := set $rolling $name "25%" -}}{{- end -}}
{{- end -}}
{{- $_ := set $strategy "rollingUpdate" $rolling -}}
{{- end -}}
{{- toYaml $strategy -}}
{{- end -}}
