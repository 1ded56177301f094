"""The committed dashboards match their source, Grafana can load them, and a real Prometheus answers their queries."""

import json
import re
import time
from itertools import product

import pytest
from dashboards import generate, thresholds
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support import stack
from tests.support.commands import served
from tests.support.markdown import blocks, documents, expressions
from tests.support.rules import ALERTS, FAMILIES, RECORDS, RULE_FILE, metrics_in

DOCUMENTS = {name: json.loads((generate.FOLDER / f"{name}.json").read_text()) for name in generate.BOARDS}
BUILT_IN = {"__rate_interval": "10s", "__interval": "1s", "__range": "10s"}


def panels(document):
    """Return all panels except rows, including panels in collapsed rows."""
    inner = [panel for row in document["panels"] for panel in row.get("panels", [])]
    return [panel for panel in document["panels"] if panel["type"] != "row"] + inner


PANELS = [(name, panel) for name, document in DOCUMENTS.items() for panel in panels(document)]
TARGETS = [
    pytest.param(target, id=f"{name}: {panel['title']}, {target['refId']}")
    for name, panel in PANELS
    for target in panel["targets"]
]
every_dashboard = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
every_panel = pytest.mark.parametrize(
    "panel", [panel for _, panel in PANELS], ids=[f"{name}: {panel['title']}" for name, panel in PANELS]
)
every_target = pytest.mark.parametrize("target", TARGETS)


# The files


@pytest.mark.parametrize("name", generate.BOARDS)
def test_the_committed_file_is_what_the_code_says(name):
    built = generate.text(generate.dashboard(generate.BOARDS[name]))
    assert (generate.FOLDER / f"{name}.json").read_text() == built, "run `make dashboards`"


@every_dashboard
def test_the_sdk_reads_the_file_and_writes_the_same(document):
    assert json.loads(generate.text(Dashboard.from_json(document))) == document


def test_uids_are_those_that_alerts_link_to():
    assert {name: document["uid"] for name, document in DOCUMENTS.items()} == {
        name: f"har-exporter-{name}" for name in ("overview", "exporter")
    }


@every_dashboard
def test_the_frame_is_portable(document):
    """No inputs, no database id, and the data source is a variable."""
    assert "__inputs" not in document
    assert "id" not in document
    assert document["schemaVersion"] == 39
    assert document["tags"] == ["har-exporter"]
    source, *variables = document["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert set(re.findall(r'"datasource": \{"type": "(.*?)", "uid": "(.*?)"\}', json.dumps(document))) == {
        ("prometheus", "${datasource}")
    }
    for variable in variables:
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")


@every_dashboard
def test_links_keep_variables_and_time(document):
    (link,) = document["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["har-exporter"])
    assert link["includeVars"]
    assert link["keepTime"]
    assert "placement" not in link
    names = {variable["name"] for variable in document["templating"]["list"]}
    assert names >= {"datasource", "space", "registry", "package_type"}


@every_dashboard
def test_each_variable_is_filtered_by_the_one_before(document):
    queries = {variable["name"]: variable.get("definition", "") for variable in document["templating"]["list"]}
    assert "$space" in queries["registry"]
    assert "$space" in queries["package_type"]
    assert "$registry" in queries["package_type"]


@every_dashboard
def test_panels_have_numbers_of_their_own_and_do_not_overlap(document):
    rows = [panel for panel in document["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in (*panels(document), *rows)]
    assert len(numbers) == len(set(numbers))
    taken = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = set(product(columns, range(place["y"], place["y"] + place["h"])))
        assert max(columns) < 24
        assert not cells & taken
        taken |= cells


@every_dashboard
def test_titles_are_unique(document):
    titles = [panel["title"] for panel in panels(document)]
    assert len(titles) == len(set(titles))


@every_panel
def test_a_panel_says_what_it_is(panel):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


# The queries


OF_ALERTS = {"har_exporter_api_requests_total", "har_refresh_failures_total"}


@every_target
def test_counters_are_rated_over_an_interval_that_fits_and_added_up(target):
    """Windows follow the scrape interval, except those of an alert; sums are applied after rates."""
    expr = target["expr"]
    for function, family, window in re.findall(r"(\w+)\((\w+_total|\w+_bucket)\{[^}]*\}\[([^\]]+)\]", expr):
        assert function in {"rate", "increase"}
        assert window == "$__rate_interval" or (family in OF_ALERTS and window[-1] == "m")
        assert re.search(rf"sum( by \([^)]*\))? ?\({function}\({family}", expr)
    named = set(re.findall(r"\b\w+(?:_total|_bucket)\b", expr))
    assert named == {family for _, family, _ in re.findall(r"(\w+)\((\w+_total|\w+_bucket)\{[^}]*\}\[([^\]]+)\]", expr)}


def test_every_metric_is_one_of_the_catalogue():
    for name, document in DOCUMENTS.items():
        assert metrics_in(" ".join(all_queries(document))) - FAMILIES.keys() == set(), name


def all_queries(document):
    expressions = [target["expr"] for panel in panels(document) for target in panel["targets"]]
    return expressions + [variable["definition"] for variable in document["templating"]["list"][1:]]


@every_dashboard
def test_annotations_mark_alerts_that_exist(document):
    for annotation in document["annotations"]["list"]:
        assert re.search(r'ALERTS\{alertname="(\w+)", alertstate="firing", space=', annotation["expr"])[1] in ALERTS


@pytest.mark.parametrize("limit", thresholds.LIMITS, ids=lambda limit: limit.alert)
def test_a_limit_is_that_of_its_alert(limit):
    """Compares value, comparison and severity; the limit of the age is an expression and has no fixed value."""
    rule = ALERTS[limit.alert]
    colors = {"critical": thresholds.CRITICAL, "warning": thresholds.WARNING, "info": thresholds.NOTICE}
    assert colors[rule["labels"]["severity"]] == limit.color
    if limit is not thresholds.STALE_SNAPSHOT:
        expr = re.sub(r"on \([^)]*\) last_over_time\(\w+:har_threshold_(\w+):limit\[\w+\]\)", named, rule["expr"])
        expr = re.sub(r"scalar\(har_threshold:(\w+)\)", named, expr)
        assert re.search(rf"{re.escape(limit.comparison)} {limit.value:g}(?![\d.])", expr)


def named(found):
    """Return the value of a threshold that an expression names."""
    return re.search(r"[\d.]+", RECORDS[f"har_threshold:{found[1]}"]["expr"])[0]


# A real Prometheus


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Prometheus that has scraped the demo as two replicas for long enough; fills in variables and runs queries."""
    with served("demo", "--cache-ttl", "1s") as (_, url):
        target = url.removeprefix("http://")
        targets = [target, target.replace("127.0.0.1", "localhost")]
        jobs = [{"job_name": "har-exporter", "static_configs": [{"targets": targets}]}]
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "scrape_configs": jobs, "rule_files": [str(RULE_FILE)]}
        with stack.prometheus(tmp_path_factory.mktemp("prometheus"), config) as server:
            stack.eventually(lambda: scraped(server))
            yield lambda expr, **variables: server.query(filled(expr, **variables))


def filled(expr, others=".+", **variables):
    """Return a query with its variables replaced by values, and with a minute in place of 30 days."""
    expr = re.sub(r"\[30d:\w+\]", "[1m:1s]", expr)
    known = BUILT_IN | variables
    return re.sub(r"\$(\w+)", lambda found: known.get(found[1], others), expr)


def scraped(server):
    """Return whether there were six scrapes with data, and API requests between them."""
    return (
        server.query("count(count_over_time(har_up[1m]) >= 6) >= 6")
        and server.query('increase(har_exporter_api_requests_total{code="200"}[10s]) > 0')
        and server.query("count(artifact:har_artifact_finding:first_seen_timestamp_seconds) > 1")
    )


NEWS = re.compile(r"^1000 \* .*(:new|unless)|ALERTS|offset 1d|max_over_time\(\(time|refresh_failures.*== 0")
"""Queries that are empty when nothing happened, and on the first day."""


@pytest.mark.parametrize("panel", [panel for _, panel in PANELS if panel["type"] in {"stat", "table", "bargauge"}])
def test_what_is_dead_is_never_green(panel):
    """Asks for the present, so that a panel is empty after the exporter's end, and its base colour is no judgement."""
    assert all(target["instant"] for target in panel["targets"])
    base = panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"]
    assert base in {thresholds.NOTHING, thresholds.NEUTRAL, thresholds.CRITICAL}


@every_target
def test_a_query_is_answered(prometheus, target):
    """No panel of the demo is empty, except for news of the last day, and no value is NaN."""
    result = prometheus(target["expr"])
    assert result or NEWS.search(target["expr"])
    assert not any(series["value"][1] == "NaN" for series in result)


@every_target
def test_a_query_follows_the_choices(prometheus, target):
    """A choice without matching series gives an empty result."""
    assert "$" in target["expr"]
    assert prometheus(target["expr"], others="nothing-is-called-this") == []


@every_target
def test_a_query_takes_one_choice(prometheus, target):
    choices = {"space": "demo/platform", "registry": "go-proxy", "package_type": "GO"}
    assert prometheus(target["expr"], **choices) or NEWS.search(target["expr"])


@every_dashboard
def test_every_choice_has_values(prometheus, document):
    """Runs the selector of `label_values(selector, label)`, a function that only Grafana has."""
    for variable in document["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
        assert all(label in series["metric"] for series in prometheus(selector))
        assert prometheus(selector)


STEADY = [
    target
    for target in TARGETS
    if target.id.startswith("overview") and not re.search(r"time\(\)|delta|avg_over", target.values[0]["expr"])
]


@pytest.mark.parametrize("target", STEADY)
def test_a_second_replica_changes_no_number(prometheus, target):
    """Two exporters of the same spaces give the same result as one; ages are excluded because they always change."""
    gives_the_same_with_one(prometheus, target["expr"])


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=f"{block.place}-{number}")
        for path in documents()
        for block in blocks(path)
        if block.kind == "promql"
        for number, query in enumerate(expressions(block))
        if re.search(r"(?<!:)\bhar_\w+(?!:)\b", query)
        and not re.search(r"time\(\)|har_exporter_|process_|increase", query)
    ],
)
def test_a_second_replica_changes_no_number_of_the_documents(prometheus, query):
    """Queries of processes, ages and what always changes are left out."""
    gives_the_same_with_one(prometheus, re.sub(r"(har_\w+)(?=\))", r"\1{}", query))


def gives_the_same_with_one(prometheus, query):
    one = re.sub(r"(har_\w+)\{", r'\1{instance=~"127.0.0.1:.+", ', query)
    deadline = time.monotonic() + 15
    while values(prometheus(one)) != (found := values(prometheus(query))):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def values(result):
    """Return the value of each series, and assert that label sets are unique."""
    found = {tuple(sorted(series["metric"].items())): series["value"][1] for series in result}
    assert len(found) == len(result)
    return found
