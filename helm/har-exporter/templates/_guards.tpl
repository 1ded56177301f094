{{/* Checks that values.schema.json cannot express. Each message explains what to change. */}}
{{- define "har-exporter.guards" -}}
{{- $values := .Values -}}
{{- include "har-exporter.guardHabits" . -}}
{{- include "har-exporter.guardSpaces" . -}}
{{- include "har-exporter.guardKeys" . -}}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- range $name := list "commonLabels" "podLabels" -}}
{{- if hasKey (get $values $name) $key -}}
{{- fail (printf "%s must not contain %s, because the Service selects its pods by this label; use nameOverride, or another label name." $name $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $values.caBundle.existingConfigMap.name $values.caBundle.existingSecret.name -}}
{{- fail "caBundle.existingConfigMap.name and caBundle.existingSecret.name are both set; set only one of them." -}}
{{- end -}}
{{- if and (include "har-exporter.caVolume" .) $values.config.ca_file -}}
{{- fail "config.ca_file and caBundle are both set; set only one of them." -}}
{{- end -}}
{{- if and $values.proxy.url $values.proxy.existingSecret.name -}}
{{- fail "proxy.url and proxy.existingSecret.name are both set; set only one of them." -}}
{{- end -}}
{{- if and (or $values.proxy.url $values.proxy.existingSecret.name) $values.config.proxy_url -}}
{{- fail "config.proxy_url and proxy are both set; set only one of them." -}}
{{- end -}}
{{- if regexMatch "@" (printf "%s%s" $values.proxy.url $values.config.proxy_url) -}}
{{- fail "proxy.url and config.proxy_url are not stored in a Secret; put a URL with a password into a Secret and set proxy.existingSecret.name." -}}
{{- end -}}
{{- include "har-exporter.guardPods" . -}}
{{- include "har-exporter.guardMonitors" . -}}
{{- end -}}

{{/* Refuses all values of other charts together. The schema accepts them, so that this message can name ours. */}}
{{- define "har-exporter.guardHabits" -}}
{{- $found := list -}}
{{- range $path, $advice := .Files.Get "habits.yaml" | fromYaml -}}
{{- $node := $.Values -}}
{{- $given := true -}}
{{- range splitList "." $path -}}
{{- $given = and $given (kindIs "map" $node) (hasKey $node .) -}}
{{- if $given -}}{{- $node = get $node . -}}{{- end -}}
{{- end -}}
{{- if $given -}}
{{- $found = append $found (printf "\n%s is not a value of this chart; %s." $path $advice) -}}
{{- end -}}
{{- end -}}
{{- with $found -}}
{{- fail (printf "these are values of other charts:%s" (join "" .)) -}}
{{- end -}}
{{- end -}}

{{- define "har-exporter.guardSpaces" -}}
{{- if not .Values.config.spaces -}}
{{- fail "config.spaces is empty; list the scopes to monitor, for example --set 'config.spaces={my_account/**}' for a whole account." -}}
{{- end -}}
{{- $entries := list -}}
{{- $refs := list -}}
{{- range .Values.config.spaces -}}
{{- $entry := include "har-exporter.entry" . -}}
{{- if has $entry $entries -}}{{- fail (printf "config.spaces contains %s twice; remove one of them." $entry) -}}{{- end -}}
{{- $entries = append $entries $entry -}}
{{- $refs = append $refs (include "har-exporter.ref" .) -}}
{{- end -}}
{{- range $ref, $_ := .Values.apiKey.spaces -}}
{{- if not (has $ref $refs) -}}
{{- fail (printf "apiKey.spaces has a key for %s, which is not in config.spaces; add the space there, or remove the key." $ref) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "har-exporter.guardKeys" -}}
{{- $key := .Values.apiKey -}}
{{- if .Values.config.api_key -}}
{{- fail "config.api_key would store the key in a ConfigMap; store it in a Secret and set apiKey.existingSecret.name." -}}
{{- end -}}
{{- if and $key.value $key.existingSecret.name -}}
{{- fail "apiKey.value and apiKey.existingSecret.name are both set; set only one of them." -}}
{{- end -}}
{{- $common := include "har-exporter.keySecret" . -}}
{{- if and $common .Values.config.api_key_file -}}
{{- fail "config.api_key_file and apiKey are both set; set only one of them." -}}
{{- end -}}
{{- range .Values.config.spaces -}}
{{- $ref := include "har-exporter.ref" . -}}
{{- $entry := kindIs "string" . | ternary dict . -}}
{{- $named := hasKey $key.spaces $ref -}}
{{- if and $named $entry.api_key_file -}}
{{- fail (printf "Space %s has both a key in apiKey.spaces and an api_key_file in config.spaces; remove one of them." $ref) -}}
{{- end -}}
{{- if not (or $named $entry.api_key_file) -}}
{{- if $entry.base_url -}}
{{- fail (printf "Space %s has its own base_url and needs its own key, because a key is never sent to another host; set its Secret in apiKey.spaces." $ref) -}}
{{- end -}}
{{- if not (or $common $.Values.config.api_key_file) -}}
{{- fail (printf "Space %s has no API key; create a Secret with the key api-key and set its name in apiKey.existingSecret.name." $ref) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "har-exporter.guardPods" -}}
{{- $values := .Values -}}
{{- $pods := include "har-exporter.pods" . | int -}}
{{- if and $values.sharding.enabled (ne (int $values.replicaCount) 1) -}}
{{- fail "replicaCount has no effect with sharding.enabled; leave it at 1 and set sharding.shards." -}}
{{- end -}}
{{- include "har-exporter.guardStrategy" . -}}
{{- include "har-exporter.guardEnv" . -}}
{{- $budget := $values.podDisruptionBudget -}}
{{- $least := toString $budget.minAvailable -}}
{{- $most := toString $budget.maxUnavailable -}}
{{- if $budget.enabled -}}
{{- if and $least $most -}}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set; set only one of them." -}}
{{- end -}}
{{- $stopped := include "har-exporter.share" (list (default "1" $most) $pods) | int -}}
{{- if $least -}}{{- $stopped = include "har-exporter.share" (list $least $pods) | int | sub $pods -}}{{- end -}}
{{- if and (gt $pods 0) (lt (int $stopped) 1) -}}
{{- fail (printf "podDisruptionBudget.%s %s with %d pods would block every node drain; use podDisruptionBudget.maxUnavailable 1, or more pods." (empty $least | ternary "maxUnavailable" "minAvailable") (default $most $least) $pods) -}}
{{- end -}}
{{- end -}}
{{- if and $values.networkPolicy.enabled $values.proxy.existingSecret.name (not $values.networkPolicy.egressPorts) -}}
{{- fail "networkPolicy.enabled needs the port of the proxy, which is in proxy.existingSecret; set networkPolicy.egressPorts." -}}
{{- end -}}
{{- if and (eq $values.service.clusterIP "None") (ne (int $values.service.port) (int $values.containerPort)) -}}
{{- fail (printf "service.clusterIP None gives the addresses of the pods, which do not listen on service.port %d; set it to containerPort %d." (int $values.service.port) (int $values.containerPort)) -}}
{{- end -}}
{{- if eq $values.service.type "ClusterIP" -}}
{{- range $name := list "nodePort" "externalTrafficPolicy" -}}
{{- if get $values.service $name -}}
{{- fail (printf "service.%s has no effect with service.type ClusterIP; set service.type to NodePort or LoadBalancer." $name) -}}
{{- end -}}
{{- end -}}
{{- else if eq $values.service.clusterIP "None" -}}
{{- fail (printf "service.clusterIP None is not possible with service.type %s; set service.type to ClusterIP." $values.service.type) -}}
{{- end -}}
{{- end -}}

{{/* Number of pods in an amount, rounded up as the disruption controller does. Takes [number or percentage, pods]. */}}
{{- define "har-exporter.share" -}}
{{- $amount := index . 0 -}}
{{- $number := $amount | trimSuffix "%" | int -}}
{{- hasSuffix "%" $amount | ternary (div (add (mul $number (index . 1)) 99) 100) $number -}}
{{- end -}}

{{- define "har-exporter.guardStrategy" -}}
{{- $values := .Values -}}
{{- $type := $values.updateStrategy.type -}}
{{- $kind := $values.sharding.enabled | ternary "StatefulSet" "Deployment" -}}
{{- $other := $values.sharding.enabled | ternary "Recreate" "OnDelete" -}}
{{- if eq $type $other -}}
{{- fail (printf "updateStrategy.type %s is not one of a %s; use RollingUpdate or %s." $type $kind ($values.sharding.enabled | ternary "OnDelete" "Recreate")) -}}
{{- end -}}
{{- if and $values.updateStrategy.rollingUpdate (ne $type "RollingUpdate") -}}
{{- fail (printf "updateStrategy.rollingUpdate has no effect with updateStrategy.type %s; set it to null, or the type to RollingUpdate." $type) -}}
{{- end -}}
{{- $deadline := int $values.progressDeadlineSeconds | default 600 -}}
{{- if and (eq $kind "Deployment") (ge (int $values.minReadySeconds) $deadline) -}}
{{- fail (printf "minReadySeconds %d is not less than the deadline of %d s of a rollout; increase progressDeadlineSeconds." (int $values.minReadySeconds) $deadline) -}}
{{- end -}}
{{- end -}}

{{/* Environment variables and flags that would override what the chart derives from its values. */}}
{{- define "har-exporter.guardEnv" -}}
{{- $sources := dict
  "HAR_EXPORTER_CONFIG" "config"
  "HAR_EXPORTER_LISTEN_ADDRESS" "containerPort"
  "HAR_EXPORTER_SHARD" "sharding"
  "HAR_EXPORTER_SHARDS" "sharding"
  "HAR_EXPORTER_WEB_CONFIG_FILE" "webConfig"
-}}
{{- with .Values.proxy -}}
{{- if or .url .existingSecret.name -}}{{- $_ := set $sources "HTTPS_PROXY" "proxy" -}}{{- end -}}
{{- if .noProxy -}}{{- $_ := set $sources "NO_PROXY" "proxy.noProxy" -}}{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $sources (toString .name) -}}
{{- fail (printf "extraEnv sets %s, which the chart sets from %s; remove it from extraEnv." .name (get $sources .name)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- $name := regexFind "^--[a-z-]+" . | trimPrefix "--" | upper | replace "-" "_" | printf "HAR_EXPORTER_%s" -}}
{{- if hasKey $sources $name -}}
{{- fail (printf "extraArgs contains %s, which the chart sets from %s; remove it from extraArgs." . (get $sources $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "har-exporter.guardMonitors" -}}
{{- $values := .Values -}}
{{- range $name := list "serviceMonitor" "podMonitor" "scrapeConfig" "probe" -}}
{{- $monitor := get $values $name -}}
{{- if and $monitor.enabled $monitor.interval (gt (include "har-exporter.milliseconds" $monitor.scrapeTimeout | int64) (include "har-exporter.milliseconds" $monitor.interval | int64)) -}}
{{- fail (printf "%s.scrapeTimeout %s is longer than %s.interval %s; reduce the timeout or increase the interval." $name $monitor.scrapeTimeout $name $monitor.interval) -}}
{{- end -}}
{{- end -}}
{{- if and $values.serviceMonitor.enabled $values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true, which would scrape each pod twice; set one of them to false." -}}
{{- end -}}
{{- if and $values.scrapeConfig.enabled (or $values.serviceMonitor.enabled $values.podMonitor.enabled) -}}
{{- fail "scrapeConfig.enabled together with serviceMonitor or podMonitor would scrape each pod twice; enable only one of them." -}}
{{- end -}}
{{- if and $values.scrapeConfig.enabled (gt (int $values.replicaCount) 1) -}}
{{- fail "scrapeConfig.enabled with replicaCount above 1 would mix the counters of several pods in one target; use serviceMonitor.enabled or podMonitor.enabled." -}}
{{- end -}}
{{- if and $values.probe.enabled $values.sharding.enabled -}}
{{- fail "probe.enabled cannot be combined with sharding.enabled, because every shard would read every space; use serviceMonitor.enabled." -}}
{{- end -}}
{{- if and $values.probe.enabled (has (lower (toString $values.config.probe)) (list "off" "false")) -}}
{{- fail "probe.enabled needs /probe, which config.probe off disables; set config.probe to configured or any, or set probe.enabled to false." -}}
{{- end -}}
{{- if and $values.probe.enabled (gt (int $values.replicaCount) 1) -}}
{{- fail "probe.enabled with replicaCount above 1 would mix the counters of several pods in one target; use serviceMonitor.enabled or podMonitor.enabled." -}}
{{- end -}}
{{- if and $values.dashboards.grafanaOperator.enabled (not $values.dashboards.enabled) -}}
{{- fail "dashboards.grafanaOperator.enabled needs the ConfigMaps of dashboards.enabled; set dashboards.enabled to true." -}}
{{- end -}}
{{- end -}}
