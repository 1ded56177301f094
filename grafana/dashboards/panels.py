"""Panel types of both dashboards; every panel has a description, a unit and thresholds."""

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.thresholds import plain, steps

SOURCE = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")

REFRESHES = "5m"
"""Minimum step for values that change only with a refresh or come in bursts."""


def target(expr: str, legend: str = "__auto", ref: str = "A", interval: str = "") -> prometheus.Dataquery:
    """Return a query over the dashboard's time range."""
    query = prometheus.Dataquery().datasource(SOURCE).expr(expr).legend_format(legend).ref_id(ref).range()
    return query.interval(interval) if interval else query


def now(expr: str, legend: str = "__auto", ref: str = "A", interval: str = "") -> prometheus.Dataquery:
    """Return an instant query at the end of the time range."""
    return target(expr, legend, ref, interval).instant()


def cells(expr: str, ref: str) -> prometheus.Dataquery:
    """Return a query whose series become rows of a table."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def fixed(color: str) -> model.DynamicConfigValue:
    """Return the property that sets a fixed colour for a series or column."""
    return model.DynamicConfigValue(id_val="color", value=model.FieldColor(model.FieldColorModeId.FIXED, color))


def number(
    title: str,
    description: str,
    query: prometheus.Dataquery,
    *,
    unit: str = "none",
    thresholds: build.ThresholdsConfig | None = None,
    text: kinds.BigValueTextMode = kinds.BigValueTextMode.VALUE,
) -> stat.Panel:
    """Return a stat panel with one number, coloured by its thresholds.

    Args:
        title: title of the panel.
        description: what the number means and what to do about it.
        query: instant query that returns one series; empty, so grey, when there is no data.
        unit: Grafana's name for the unit.
        thresholds: thresholds for the background colour; without them the colour is neutral.
        text: whether to show the name of the series, its value, or both.
    """
    judged = thresholds is not None
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query)
        .unit(unit)
        .no_value("no data")
        .thresholds(thresholds or plain())
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID if judged else kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(text)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
    )


def lines(
    title: str,
    description: str,
    *queries: prometheus.Dataquery,
    unit: str = "none",
    limit: list[model.Threshold] | None = None,
    most: float = 1,
) -> timeseries.Panel:
    """Return a graph over time, with a dashed line at the limit of an alert.

    Args:
        title: title of the panel.
        description: what the lines mean and what to do about them.
        queries: queries; each can return several lines.
        unit: Grafana's name for the unit.
        limit: thresholds of an alert.
        most: soft maximum of the axis, so that zeros are at the bottom and limits are visible.
    """
    style = kinds.GraphThresholdsStyleMode.DASHED if limit else kinds.GraphThresholdsStyleMode.OFF
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(steps(*limit) if limit else plain())
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .draw_style(kinds.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(0)
        .show_points(kinds.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .axis_soft_max(most)
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .legend(_legend(kinds.LegendPlacement.BOTTOM))
    )
    for query in queries:
        panel.with_target(query)
    return panel


def ranked(panel: timeseries.Panel) -> timeseries.Panel:
    """Move the legend to the right and sort it by last value, greatest first."""
    return panel.legend(_legend(kinds.LegendPlacement.RIGHT).sort_by("Last *").sort_desc(sort_desc=True))


def _legend(placement: kinds.LegendPlacement) -> common.VizLegendOptions:
    mode = kinds.LegendDisplayMode.TABLE if placement is kinds.LegendPlacement.RIGHT else kinds.LegendDisplayMode.LIST
    calcs = ["lastNotNull"] if placement is kinds.LegendPlacement.RIGHT else []
    return common.VizLegendOptions().show_legend(show_legend=True).display_mode(mode).placement(placement).calcs(calcs)


def stacked(panel: timeseries.Panel, colors: dict[str, str]) -> timeseries.Panel:
    """Stack the series, the first query at the bottom, each with the colour assigned to its name."""
    pile = common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")
    panel.stacking(pile).fill_opacity(55).line_width(1)
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def bars(
    title: str, description: str, query: prometheus.Dataquery, unit: str, thresholds: build.ThresholdsConfig
) -> bargauge.Panel:
    """Return a bar gauge with one bar per series, from 0 to 1."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query)
        .unit(unit)
        .min(0)
        .max(1)
        .thresholds(thresholds)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
    )


def rows(title: str, description: str, *queries: prometheus.Dataquery) -> table.Panel:
    """Return a table that joins its queries by their common labels."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit("none")
        .thresholds(plain())
        .cell_height(kinds.TableCellHeight.SM)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    )
    for query in queries:
        panel.with_target(query)
    return panel


def columns(panel: table.Panel, titles: dict[str, str], hidden: tuple[str, ...]) -> None:
    """Order and rename the columns of a table, and hide the time and the hidden columns."""
    options = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {field: place for place, field in enumerate(titles)},
        "renameByName": titles,
    }
    panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=options))


def sorted_by(panel: table.Panel, *titles: str) -> table.Panel:
    """Sort a table by columns, greatest value first."""
    return panel.sort_by([common.TableSortByFieldState().display_name(title).desc(desc=True) for title in titles])


def column(panel: table.Panel, title: str, width: int | None = None, **properties: object) -> None:
    """Set properties of a column, with `__` for a dot in names; without a width in pixels, it fills the free space."""
    settings: dict[str, object] = {"custom.width": width} if width else {}
    settings |= {name.replace("__", "."): value for name, value in properties.items()}
    panel.override_by_name(
        title, [model.DynamicConfigValue(id_val=name, value=value) for name, value in settings.items()]
    )
