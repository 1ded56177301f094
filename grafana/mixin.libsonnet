// Rules and dashboards for users of jsonnet, made of the files beside it.
//
//   (import 'har-exporter/grafana/mixin.libsonnet') + { _config+:: { thresholds+: { scan_coverage_ratio: 0.8 } } }
{
  _config+:: {
    // By the names in the rule file, without `har_threshold:`.
    thresholds: {},
    // Base of the links to runbooks, with a slash at its end.
    runbookBase: 'https://github.com/har-exporter/har-exporter/blob/main/grafana/runbooks/',
    // Address of Grafana for the links to dashboards; the links are relative if it is empty.
    dashboardBase: '',
    // More labels that all rules keep, such as cluster.
    keepLabels: [],
  },

  local config = self._config,
  local replaced(text, pairs) = std.foldl(function(result, pair) std.strReplace(result, pair[0], pair[1]), pairs, text),
  local kept(text) =
    local labels = config.keepLabels;
    if labels == [] then text else replaced(text, [
      [' by (', ' by (%s, ' % std.join(', ', labels)],
      [' on (', ' on (%s, ' % std.join(', ', labels)],
    ] + std.flattenArrays([
      [
        [own + '=%q', std.join('=%q,', labels + [own]) + '=%q'],
        ['` $labels.' + own, '` $labels.' + std.join(' $labels.', labels + [own])],
      ]
      for own in ['space', 'job']
    ])),
  local linked = replaced(importstr 'rules/har-exporter.rules.yaml', [
    ['https://github.com/har-exporter/har-exporter/blob/main/grafana/runbooks/', config.runbookBase],
    ["dashboard_url: '/d/", "dashboard_url: '" + config.dashboardBase + '/d/'],
  ]),
  local groups = std.parseYaml(kept(linked)).groups,
  local threshold(rule) = std.strReplace(std.get(rule, 'record', ''), 'har_threshold:', ''),
  local adjusted(rule) =
    if std.objectHas(config.thresholds, threshold(rule))
    then rule { expr: 'vector(%g)' % config.thresholds[threshold(rule)] }
    else rule,
  local only(kind) = {
    groups: [
      group { rules: rules }
      for group in groups
      for rules in [[adjusted(rule) for rule in group.rules if std.objectHas(rule, kind)]]
      if std.length(rules) > 0
    ],
  },

  prometheusRules+:: only('record'),
  prometheusAlerts+:: only('alert'),
  grafanaDashboards+:: {
    'har-exporter-overview.json': import 'dashboards/overview.json',
    'har-exporter-exporter.json': import 'dashboards/exporter.json',
  },
}
