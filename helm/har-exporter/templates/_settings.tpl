{{/*
Settings file: config, with the paths of the mounted files added, and rate_limit divided among the pods that share a key.
The key file of a space is named after the space, with ~ instead of /, because the name of a space cannot contain ~.
*/}}
{{- define "har-exporter.settings" -}}
{{- $settings := deepCopy .Values.config -}}
{{- /* Unquoted, off is false to YAML. */ -}}
{{- range list "probe" "findings" "rate_limit" "stale_scan_after" "sources" -}}
{{- if kindIs "bool" (get $settings .) -}}{{- $_ := set $settings . "off" -}}{{- end -}}
{{- end -}}
{{- $_ := set $settings "listen_address" (printf ":%d" (int .Values.containerPort)) -}}
{{- if include "har-exporter.keySecret" . -}}{{- $_ := set $settings "api_key_file" "/etc/har-exporter/keys/api-key" -}}{{- end -}}
{{- if include "har-exporter.caVolume" . -}}{{- $_ := set $settings "ca_file" "/etc/har-exporter/ca/ca.crt" -}}{{- end -}}
{{- if .Values.webConfig.existingSecret.name -}}
{{- $_ := set $settings "web_config_file" (printf "/etc/har-exporter/web/%s" .Values.webConfig.existingSecret.key) -}}
{{- end -}}
{{- $pods := include "har-exporter.pods" . | int -}}
{{- $shared := or (not .Values.sharding.enabled) (include "har-exporter.keySecret" .) -}}
{{- range $settings.spaces -}}{{- if include "har-exporter.entry" . | hasSuffix "/**" -}}{{- $shared = true -}}{{- end -}}{{- end -}}
{{- if and $shared (gt $pods 1) (not (hasKey $settings "rate_limit")) -}}
{{- $_ := set $settings "rate_limit" (printf "%d/m" (div 300 $pods | max 1)) -}}
{{- end -}}
{{- $spaces := list -}}
{{- range $settings.spaces -}}
{{- $ref := include "har-exporter.ref" . -}}
{{- $entry := . -}}
{{- if hasKey $.Values.apiKey.spaces $ref -}}
{{- $entry = kindIs "string" . | ternary (dict "ref" .) . -}}
{{- $entry = merge (dict "api_key_file" (printf "/etc/har-exporter/keys/spaces/%s" ($ref | replace "/" "~"))) $entry -}}
{{- end -}}
{{- $spaces = append $spaces $entry -}}
{{- end -}}
{{- set $settings "spaces" $spaces | toYaml -}}
{{- end -}}

{{/* Entry of config.spaces as it is written, with /** at the end if that stands there. */}}
{{- define "har-exporter.entry" -}}
{{- kindIs "string" . | ternary (dict "ref" .) . | dig "ref" "" | trim | trimSuffix "/+" -}}
{{- end -}}

{{/* Space of an entry of config.spaces. */}}
{{- define "har-exporter.ref" -}}
{{- include "har-exporter.entry" . | trimSuffix "/**" -}}
{{- end -}}

{{/* TCP ports in the URLs of Harness and of the proxy, as JSON. */}}
{{- define "har-exporter.egressPorts" -}}
{{- $urls := list (default "https://app.harness.io" .Values.config.base_url) .Values.proxy.url .Values.config.proxy_url -}}
{{- range .Values.config.spaces -}}{{- if kindIs "map" . -}}{{- $urls = append $urls .base_url -}}{{- end -}}{{- end -}}
{{- $ports := list -}}
{{- range compact $urls -}}
{{- $url := . | trim | lower | urlParse -}}
{{- $usual := eq $url.scheme "http" | ternary 80 443 -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default $usual | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* Name of the Secret with the common key; empty if there is none. */}}
{{- define "har-exporter.keySecret" -}}
{{- if .Values.apiKey.value -}}{{- include "har-exporter.fullname" . -}}{{- else -}}{{- .Values.apiKey.existingSecret.name -}}{{- end -}}
{{- end -}}

{{/* Keys as files. When a Secret changes, the kubelet updates the file and the exporter rereads it. */}}
{{- define "har-exporter.keySources" -}}
{{- with include "har-exporter.keySecret" . }}
- secret:
    name: {{ . | quote }}
    items:
      - key: {{ $.Values.apiKey.value | empty | ternary $.Values.apiKey.existingSecret.key "api-key" | quote }}
        path: api-key
{{- end }}
{{- range $ref, $secret := .Values.apiKey.spaces }}
- secret:
    name: {{ $secret.name | quote }}
    items:
      - key: {{ $secret.key | default "api-key" | quote }}
        path: {{ printf "spaces/%s" ($ref | replace "/" "~") | quote }}
{{- end }}
{{- end -}}

{{- define "har-exporter.caVolume" -}}
{{- $bundle := .Values.caBundle -}}
{{- with $bundle.existingConfigMap }}
{{- if .name -}}
configMap:
  name: {{ .name | quote }}
  defaultMode: 0644
  items:
    - key: {{ .key | quote }}
      path: ca.crt
{{- end -}}
{{- end -}}
{{- with $bundle.existingSecret }}
{{- if .name -}}
secret:
  secretName: {{ .name | quote }}
  defaultMode: 0440
  items:
    - key: {{ .key | quote }}
      path: ca.crt
{{- end -}}
{{- end -}}
{{- end -}}
