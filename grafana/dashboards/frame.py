"""Frame of a dashboard: variables, links, annotations, and the position and number of each panel."""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from dashboards.panels import SOURCE

TAG = "har-exporter"
SCHEMA_VERSION = 39

_WIDTH = 24


class Row(NamedTuple):
    """Row of panels under a title; panels that do not fit continue on the next line.

    Attributes:
        title: title of the row.
        panels: each panel with its width and height in Grafana's grid, which is 24 units wide.
        collapsed: whether the row is closed until a user opens it.
    """

    title: str
    panels: Sequence[tuple[Builder[model.Panel], int, int]]
    collapsed: bool = False


class Board(NamedTuple):
    """Dashboard.

    Attributes:
        uid: fixed identifier for links and provisioning.
        title: title of the dashboard.
        description: purpose of the dashboard.
        variables: choices at the top of the dashboard.
        annotations: events shown in the graphs.
        rows: rows of panels.
    """

    uid: str
    title: str
    description: str
    variables: Sequence[Builder[model.VariableModel]]
    annotations: Sequence[Builder[model.AnnotationQuery]]
    rows: Sequence[Row]


def dashboard(board: Board) -> model.Dashboard:
    """Return the typed dashboard."""
    built = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .timezone("browser")
        .refresh("1m")
        .time("now-24h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .variables([_source(), *board.variables])
        .annotations(list(board.annotations))
        .link(_link())
        .build()
    )
    built.schema_version = SCHEMA_VERSION
    built.panels = _placed(board.rows)
    return built


def choice(name: str, label: str, query: str, *, hidden: bool = False) -> build.QueryVariable:
    """Return a variable that accepts several values or all values."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .definition(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
        .hide(model.VariableHide.HIDE_VARIABLE if hidden else model.VariableHide.DONT_HIDE)
    )


def inventory_choices(*, hidden: bool = False) -> list[build.QueryVariable]:
    """Return the variables for space, registry and package type, each filtered by the previous ones.

    Args:
        hidden: hide registry and package type, but keep their values for links to the other dashboard.
    """
    of_space, of_registry = 'har_artifacts{space=~"$space"', ', registry=~"$registry"'
    return [
        choice("space", "Space", "label_values(har_up, space)"),
        choice("registry", "Registry", f"label_values({of_space}}}, registry)", hidden=hidden),
        choice(
            "package_type",
            "Package type",
            f"label_values({of_space}{of_registry}}}, package_type)",
            hidden=hidden,
        ),
    ]


def firing(alert: str, title: str, matchers: str, color: str) -> build.AnnotationQuery:
    """Return an annotation that marks when an alert fires."""
    return (
        build.AnnotationQuery()
        .name(title)
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(color)
        .expr(f'max by (space, registry) (ALERTS{{alertname="{alert}", alertstate="firing", {matchers}}})')
        .step("60s")
        .title_format(title)
        .text_format("{{space}} {{registry}}")
    )


def _source() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _link() -> build.DashboardLink:
    link = build.DashboardLink("har-exporter").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(include_vars=True).keep_time(keep_time=True).icon("external link")


def _placed(rows: Sequence[Row]) -> list[model.Panel | model.RowPanel]:
    placed: list[model.Panel | model.RowPanel] = []
    number, top = 0, 0
    for row in rows:
        number += 1
        place = model.GridPos(h=1, w=_WIDTH, x=0, y=top)
        header = model.RowPanel(id_val=number, title=row.title, collapsed=row.collapsed, grid_pos=place, panels=[])
        panels, top = _lines(row, number, top + 1)
        number += len(panels)
        placed.append(header)
        if row.collapsed:
            header.panels = panels
            top = place.y + 1
        else:
            placed.extend(panels)
    return placed


def _lines(row: Row, number: int, top: int) -> tuple[list[model.Panel], int]:
    """Return the positioned panels of a row, left to right and top to bottom, and the top of the next row."""
    panels: list[model.Panel] = []
    left, height = 0, 0
    for builder, wide, high in row.panels:
        if left + wide > _WIDTH:
            left, top, height = 0, top + height, 0
        panel = builder.build()
        panel.id_val = number + len(panels) + 1
        panel.grid_pos = model.GridPos(h=high, w=wide, x=left, y=top)
        panels.append(panel)
        left, height = left + wide, max(height, high)
    return panels, top + height
