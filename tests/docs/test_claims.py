"""What documents claim of the code is so: reasons, states, numbers of series, labels."""

import re
from collections.abc import Iterable
from inspect import signature
from itertools import product

import pytest
import yaml

from exporter import __version__
from exporter.config.settings import Settings
from exporter.demo.artifacts import listing
from exporter.demo.catalogue import SPACES
from exporter.harness.errors import REASONS, RefreshError, ServerError
from exporter.metrics.exposition import FAMILIES
from exporter.metrics.family import LABELS
from exporter.serving import endpoints as web
from exporter.serving.server import Server
from tests.soak.__main__ import _ROWS
from tests.support.markdown import links
from tests.support.places import DOCS, ROOT
from tests.support.walks import MAX_STALE, TTL, Walks
from tools.scaling import SERIES_OF_CELL, SERIES_OF_FINDING, SERIES_OF_REGISTRY, SERIES_OF_SPACE


def test_every_label_of_a_family_is_explained_and_no_other():
    assert set(LABELS) == {label for family in FAMILIES for label in family.labels}


def test_no_family_is_there_twice():
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


def test_no_label_is_one_of_prometheus_own():
    assert not set(LABELS) & {"job", "instance", "namespace", "pod", "service", "endpoint", "le", "quantile"}


def test_there_is_one_error_for_each_reason():
    errors = RefreshError.__subclasses__()
    assert len(REASONS) == len(errors) == 17
    tree = (ROOT / "exporter" / "harness" / "errors.py").read_text()
    for error in errors:
        assert re.search(rf"── {error.__name__} +{error.reason} ", tree)


def test_troubleshooting_has_a_row_for_each_reason_which_names_what_the_hint_names():
    table = (DOCS / "troubleshooting.md").read_text().partition("| --- |")[2]
    rows = dict(re.findall(r"^\| `(\w+)` (\|.+)$", table, re.MULTILINE))
    assert rows.keys() == set(REASONS)
    for error in RefreshError.__subclasses__():
        assert settings_in(error.hint) <= settings_in(rows[error.reason]), error


def test_troubleshooting_names_every_setting_that_a_hint_names():
    sources = "".join(path.read_text() for path in (ROOT / "exporter").rglob("*.py"))
    hints = "".join(re.findall(r"hint(?:: str)? ?= ?f?\"([^\"]+)\"", sources))
    assert "sign-in page" in hints
    assert settings_in(hints) <= settings_in((DOCS / "troubleshooting.md").read_text())


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\w+", text)) & {*Settings.model_fields, "HTTPS_PROXY", "NO_PROXY"}


COMPARED = [
    re.split(r" *(?<!\\)\| *", line.strip("| "))
    for line in (DOCS / "comparison.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| --- ", "| feature "))
]
PEERS = {row[0] for row in COMPARED if len(row) == 4} - {"name"}
FEATURES = [row for row in COMPARED if len(row) == 5]


@pytest.mark.parametrize("row", FEATURES, ids=lambda row: row[0])
def test_a_feature_is_claimed_only_with_tests_that_show_it(row):
    _, here, where, *_ = row
    shown_by = re.findall(r"(\S+\.py)::(\w+)", row[-1])
    assert here in {"yes", "partly", "no"}
    assert where
    assert bool(shown_by) == (here != "no")
    for file, name in shown_by:
        assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), name


@pytest.mark.parametrize("row", FEATURES, ids=lambda row: row[0])
def test_a_feature_is_compared_with_exporters_that_are_named_and_each_of_them_once(row):
    told = re.sub(r"<!--.*-->", "", ", ".join(row[3:]))
    names = [name for name in re.split(r"[, ]+", told) if name]
    assert set(names) <= PEERS
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", re.findall(r"^\| [A-Z].*\|$", (DOCS / "guarantees.md").read_text(), re.MULTILINE))
def test_a_guarantee_is_given_only_with_tests_that_show_it(row):
    promise, holds, shown_by = row.strip("| ").split(" | ")
    tests, soaks = re.findall(r"`(\S+\.py)::(\w+)`", shown_by), re.findall(r"soak `([\w-]+)`", shown_by)
    assert promise
    assert holds
    assert tests or soaks
    assert set(soaks) <= _ROWS.keys()
    for file, name in tests:
        assert re.search(rf"^(def {name}\(|{name} = )", (ROOT / "tests" / file).read_text(), re.MULTILINE), name


def test_a_feature_is_found_under_a_name_that_there_is():
    values = yaml.safe_load((ROOT / "helm/har-exporter/values.yaml").read_text())
    known = {*Settings.model_fields, *(family.name for family in FAMILIES), *values}
    names = {name for row in FEATURES for name in re.findall(r"`([a-zA-Z_.]+)`", row[2])}
    assert names
    assert {name.partition(".")[0] for name in names} <= known


def test_each_decision_is_listed():
    folder = DOCS / "decisions"
    assert links(folder / "README.md") == sorted(page.name for page in folder.glob("[0-9]*.md"))


def test_the_numbers_of_readme_and_command_line_are_those_of_the_code():
    readme, commands = (ROOT / "README.md").read_text(), (DOCS / "command-line.md").read_text()
    rules = yaml.safe_load((ROOT / "grafana/rules/har-exporter.rules.yaml").read_text())
    alerts = sum("alert" in rule for group in rules["groups"] for rule in group["rules"])
    assert set(re.findall(r"(\d+) alerts", readme)) == {str(alerts)}
    rows = [(space, row) for space in SPACES for row in listing(space, 1_800_000_000.0)]
    assert len({(space, row["registryIdentifier"]) for space, row in rows}) == 12
    assert "made-up artifact versions in twelve registries" in commands
    assert f"At most {web._SCRAPES} scrapes and probes wait for a refresh" in commands
    assert f"at most {signature(Server).parameters['connections'].default:,} connections" in commands


def test_install_names_the_image_of_this_version():
    assert set(re.findall(r"har-exporter:(\d[\w.]*)", (DOCS / "install.md").read_text())) == {__version__}


def test_there_are_as_many_series_as_operations_says():
    text = (DOCS / "operations.md").read_text()
    said = re.search(r"has (\d+) series, .*at most (\d+),.* at least (\d+), and each\nfinding at most (\d+)", text)
    assert said is not None
    of_space, of_registry, of_mode, of_finding = map(int, said.groups())
    assert (of_space, of_registry) == (SERIES_OF_SPACE, SERIES_OF_REGISTRY)
    assert of_mode == 4 * SERIES_OF_CELL, "one for each of the statuses that are always there"
    assert of_finding == SERIES_OF_FINDING + 1, "one more for a second reason"


PICTURED = set(re.findall(r"^ +(\w+) --> (\w+): ", (DOCS / "architecture.md").read_text(), re.MULTILINE))
"""The changes of a space's state in the picture."""


def test_a_space_goes_through_all_states_as_pictured_and_through_them_alone():
    seen = set()
    for steps in product(("walk", "fail", "age"), repeat=5):
        for max_stale in (0.0, MAX_STALE):
            seen |= changes(Walks(max_stale=max_stale), steps)
    assert seen == PICTURED


def changes(walks: Walks, steps: Iterable[str]) -> set[tuple[str, str]]:
    """Return the changes of the state of a space; a walk that changes nothing is one too."""
    state, seen = "cold", set()
    for step in steps:
        if step != "age":
            walks.scrape()
        # Any back-off is over after the time to live, and any data after the rest.
        for _ in range(int(MAX_STALE / TTL) + 1 if step == "age" else 1):
            if walks.queue:
                walks.finish(ServerError("no") if step == "fail" else None)
            else:
                walks.clock.tick(TTL)
            before, state = state, walks.refresher.statuses()[0].state
            if before != state or step != "age":
                seen.add((before, state))
    return seen
