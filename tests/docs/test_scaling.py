"""What docs/scaling.md promises: how fresh, how many requests, how much memory, and how many series."""

import gc
import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.settings import default_text
from exporter.harness.page import Artifact
from exporter.inventory.tally import Tally
from exporter.metrics.exposition import TEXT
from exporter.metrics.source_families import LISTED_FAMILIES, SOURCE_FAMILIES
from tests.support.apps import app_of, refreshed, settled
from tests.support.clocks import FakeClock
from tests.support.rules import ALERTS
from tests.support.sources import registry_row, violation_row
from tests.support.upstream import ABSENT, Upstream, make_row, make_rows
from tools.plans import HOUR, MINUTE, Plan, run
from tools.scaling import (
    BASE_MEBIBYTES,
    BYTES_OF_ARTIFACT,
    BYTES_OF_IMAGE,
    ESTATES,
    PAGE,
    PAGE_SIZES,
    PARTS,
    outcome_of,
    plan_of,
    series_of_space,
)
from tools.simulation import requests_of
from tools.tables import render

pytestmark = pytest.mark.simulation

BENCHMARKS = PAGE.parent / "benchmarks.md"
ROWS = [(estate, size) for estate in ESTATES for size in PAGE_SIZES if plan_of(estate, size).fits]


@pytest.mark.parametrize("part", PARTS)
def test_a_table_is_the_one_that_the_code_makes(part):
    assert render(PAGE, {part: PARTS[part]}) == PAGE.read_text(), "run `make scaling`"


def test_what_the_page_takes_for_defaults_is_the_default():
    plan = Plan(estate={})
    assert default_text("rate_limit") == f"{plan.rate}/m"
    assert (default_text("page_size"), PAGE_SIZES) == ("auto", (1_000, 100)), "what most servers give, and what all do"
    assert default_text("concurrency") == str(plan.concurrency)
    texts = [default_text(name) for name in ("cache_ttl", "max_stale", "refresh_timeout")]
    assert texts == ["45s", "1h", "1h"]
    assert (plan.cache_ttl, plan.max_stale, plan.refresh_timeout) == (45.0, HOUR, HOUR)


# Requests


@pytest.mark.parametrize("page_size", [100, 500, 1_000])
@pytest.mark.parametrize("artifacts", [0, 1, 99, 100, 101, 199, 200, 468, 500, 1_000, 1_001])
def test_a_walk_sends_as_many_requests_as_the_formula_says(artifacts, page_size):
    with Upstream(make_rows(artifacts)) as upstream:
        app = app_of(upstream, FakeClock(), page_size=str(page_size))
        assert refreshed(app)["acct"].snapshot.pages == requests_of(artifacts, page_size)
        assert len(upstream.requests) == requests_of(artifacts, page_size)


@pytest.mark.parametrize("artifacts", [0, 99, 100, 468, 1_000])
def test_without_a_count_a_walk_sends_up_to_concurrency_pages_more(artifacts):
    with Upstream(make_rows(artifacts), item_count=ABSENT) as upstream:
        refreshed(app_of(upstream, FakeClock(), concurrency="4"))
        assert 0 <= len(upstream.requests) - requests_of(artifacts, 100) <= 4


# Series


def exported(rows, **more):
    """Return how many series there are of the space, the page's own families included."""
    with Upstream(rows) as upstream:
        app = app_of(upstream, FakeClock(), **more)
        assert refreshed(app)["acct"].up
        page = b"".join(app.exposition.render(TEXT).parts).decode()
    return sum('space="acct"' in line for line in page.splitlines() if not line.startswith("#"))


FULL = {
    "downloadsCount": 1, "fileCount": 1, "digestCount": 1, "lastScannedAt": "1790000000000",
    "deploymentMetadata": {"prodEnvCount": 1, "nonProdEnvCount": 0},
}  # fmt: skip
STATUSES = st.sampled_from(["ALLOWED", "WARN", "BLOCKED", "UNKNOWN", ABSENT])
MODES = st.sampled_from(["ENABLED", "QUARANTINE", "ALLOW", ABSENT])
REGISTRIES = st.lists(
    st.tuples(
        st.sampled_from(["NPM", "MAVEN", "GENERIC"]),
        st.sampled_from(["UPSTREAM", "VIRTUAL"]),
        st.lists(st.tuples(STATUSES, MODES, st.booleans()), min_size=1, max_size=8),
    ),
    max_size=4,
)


def listing(registries, fields):
    """Return rows, and of each registry how many pairs of scan status and firewall mode are exported."""
    rows, cells = [], []
    for number, (package_type, registry_type, artifacts) in enumerate(registries):
        evidence = any(status is not ABSENT or mode not in {"ALLOW", ABSENT} for status, mode, _ in artifacts)
        scanned = evidence or (registry_type == "UPSTREAM" and package_type != "GENERIC")
        expected = ["ALLOWED", "WARN", "BLOCKED", *(["UNSCANNED"] if scanned else [])]
        pairs = set()
        for status, mode, quarantined in artifacts:
            traits = {"scanStatus": status, "firewallMode": mode, "isQuarantined": quarantined}
            kind = {"packageType": package_type, "registryType": registry_type}
            rows.append(make_row(len(rows), registryIdentifier=f"registry-{number}", **kind, **traits, **fields))
            seen = ("UNSCANNED" if scanned else "NOT_APPLICABLE") if status is ABSENT else status
            pairs |= {(mode, status) for status in (*expected, seen)}
        cells.append(len(pairs))
    return rows, cells


@settings(max_examples=30)
@given(REGISTRIES)
def test_the_series_of_a_space_are_exactly_those_of_the_formula(registries):
    rows, cells = listing(registries, FULL)
    reasons = [
        quarantined + (status == "BLOCKED") for _, _, artifacts in registries for status, _, quarantined in artifacts
    ]
    named = [number for number in reasons if number]
    assert exported(rows) == series_of_space(cells, len(named), named.count(2))


@pytest.mark.parametrize(
    ("blocked", "limit"), [(0, 500), (3, 500), (500, 500), (501, 500), (700, 500), (20, 7), (20, 0)]
)
def test_findings_make_series_up_to_their_limit_and_no_further(blocked, limit):
    rows = [*make_rows(10, firewallMode="ALLOW", **FULL), *(
        make_row(10 + number, firewallMode="ALLOW", scanStatus="BLOCKED", **FULL) for number in range(blocked)
    )]  # fmt: skip
    assert exported(rows, findings_limit=str(limit)) == series_of_space([4], min(blocked, limit))


@settings(max_examples=20)
@given(REGISTRIES, st.sets(st.sampled_from(sorted(FULL))))
def test_fields_that_are_missing_only_make_fewer(registries, missing):
    rows, cells = listing(registries, {**FULL, **dict.fromkeys(missing, ABSENT)})
    assert exported(rows) <= series_of_space(cells, len(rows), len(rows))


VIOLATIONS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["BLOCKED", "WARN", "NEW"]), st.sampled_from([ABSENT, "PENDING"])),
    max_size=12,
)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["UPSTREAM", "VIRTUAL"]), min_size=3, max_size=5), VIOLATIONS)
def test_sources_add_exactly_the_series_of_the_formula(types, violations):
    registries = [registry_row(number, path=f"acct/registry-{number}", type=kind) for number, kind in enumerate(types)]
    rows = [
        violation_row(
            number, registryId=f"uuid-{registry}", path="acct/r", scanStatus=status, exemptionStatus=exemption
        )
        for number, (registry, status, exemption) in enumerate(violations)
    ]
    pairs = {violation for violation in violations if violation[1:] not in {("BLOCKED", ABSENT), ("WARN", ABSENT)}}
    violated = {registry for registry, _, _ in violations}
    with Upstream([], registries=registries, violations=rows) as upstream:
        app = app_of(upstream, FakeClock(), spaces="acct/**", sources="registries,violations", findings_limit="7")
        page = settled(app)
    names = [family.name for family in (*LISTED_FAMILIES, *SOURCE_FAMILIES)]
    added = sum(line.startswith(tuple(f"{name}{{" for name in names)) for line in page.splitlines())
    listed = sum(4 if kind == "UPSTREAM" else 3 for kind in types)
    # One category in each.
    of_violations = 1 + (3 + 1) * len(violated) + len(pairs) + min(7, len(violations))
    assert added == 2 * 20 + 1 + listed + of_violations


def test_a_shard_without_spaces_shows_what_the_process_adds():
    with Upstream(()) as upstream:
        page = b"".join(app_of(upstream, FakeClock(), shard="0", shards="2").exposition.render(TEXT).parts).decode()
    series = [line for line in page.splitlines() if not line.startswith("#")]
    assert len(series) <= 60


# Memory


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        (lambda number: {"registry": "npm", "uuid": f"uuid-{number}", "downloads": number}, BYTES_OF_ARTIFACT),
        (
            lambda number: {
                "registry": "docker",
                "package_type": "DOCKER",
                "uuid": f"uuid-{number}",
                "downloads": number,
            },
            BYTES_OF_IMAGE,
        ),
        (lambda number: {"registry": f"npm-{number}", "package_type": "NPM", "scanned": 1}, 1_400),
    ],
    ids=["packages", "images of their own", "registries of their own"],
)
def test_an_artifact_is_remembered_in_so_many_bytes(fields, most):
    """At the worst moment: the dictionary has just grown, and the one it grew from is still there."""
    numbers = range(50_000)
    tally = Tally(0.0, findings=(), findings_limit=0, registries_limit=500, stale_ages={})
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tally.add(Artifact(name=f"artifact-{number}", **fields(number)) for number in numbers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / 2 < (peak - before) / len(numbers) <= most


def test_whole_processes_were_measured_to_need_what_the_formula_says():
    measured = re.findall(r"peak memory at ([\d,]+) \| (\d+(?:\.\d+)?) MiB", BENCHMARKS.read_text())
    assert len(measured) >= 3
    for artifacts, mebibytes in measured:
        needed = BASE_MEBIBYTES + BYTES_OF_ARTIFACT * int(artifacts.replace(",", "")) / 2**20
        assert 0.8 * needed <= float(mebibytes) <= needed


# Freshness


@pytest.mark.parametrize(("estate", "page_size"), ROWS)
def test_a_row_keeps_the_promises_of_the_page(estate, page_size):
    """No key is asked too often, and data of every space is there, no older than promised."""
    plan, outcome = plan_of(estate, page_size), outcome_of(estate, page_size)
    assert outcome.most_a_minute <= plan.rate
    assert (outcome.gaps, outcome.failed.total()) == (0, 0)
    for seen in outcome.seen.values():
        settled = [one for one in seen if one.time > outcome.since + plan.lap]
        assert max(one.time - one.began for one in settled) <= plan.promised
    assert outcome.known_within(0.5) < 0.75 * outcome.known_within(0.95)


@pytest.mark.parametrize(("estate", "page_size"), ROWS)
def test_the_alert_on_stale_data_fires_where_the_lap_of_several_spaces_is_long(estate, page_size):
    plan, outcome = plan_of(estate, page_size), outcome_of(estate, page_size)
    limits = {
        space: max(3 * plan.cache_ttl + 2 * seen[-1].seconds, 10 * MINUTE) for space, seen in outcome.seen.items()
    }
    stale = any(one.time - one.began > limits[space] for space, seen in outcome.seen.items() for one in seen)
    assert stale == (plan.lap > 5 * MINUTE and len(plan.estate) > 1)


@pytest.mark.parametrize(
    ("estate", "seconds"),
    [
        ("10,000 in one space", 75),
        ("100,000 in one space", 100),
        ("1,000,000 in one space", 480),
        ("10,000 in 200 spaces", 100),
    ],
)
def test_changes_are_known_in_time_where_the_server_gives_large_pages(estate, seconds):
    assert outcome_of(estate, 1_000).known_within(0.95) <= seconds


def test_the_times_are_those_that_were_measured_over_real_http():
    """30 changes were measured, a thousand simulated."""
    title = r"### Time to know, ([\d,]+) artifacts, ([\d,]+) per page\n"
    measured = re.findall(rf"{title}[^#]*\| 95 % of the changes known \| ([\d,.]+) s", BENCHMARKS.read_text())
    assert len(measured) >= 3
    for artifacts, page_size, seconds in measured:
        simulated = outcome_of(f"{artifacts} in one space", int(page_size.replace(",", ""))).known_within(0.95)
        assert float(seconds.replace(",", "")) == pytest.approx(simulated, rel=0.2)


def test_small_spaces_beside_a_large_one_are_known_within_two_of_their_intervals():
    """A million artifacts at 100 per page keep the key busy all the time."""
    small = {f"acct/small_{number}": 50 for number in range(20)}
    outcome = run(Plan(estate={"acct": 1_000_000} | small, refresh_timeout=2 * HOUR, max_stale=2 * HOUR))
    assert outcome.failed.total() == 0
    for space in small:
        times = [one.began for one in outcome.seen[space]]
        assert max(later - earlier for earlier, later in pairwise(times)) <= 60 + 2 * 45


LARGE = {f"acct/large_{number}": 460_000 for number in range(4)}


def test_walks_that_share_a_key_end_one_after_the_other():
    """15 minutes each, 62 all four: within an hour three of them are read; the last one then has the key to itself."""
    settings = {"estate": LARGE, "cache_ttl": 2 * HOUR, "max_stale": 6 * HOUR}
    assert run(Plan(**settings)).failed == {"timeout": 1}
    patient = run(Plan(**settings, refresh_timeout=2 * HOUR))
    assert (patient.failed.total(), patient.gaps) == (0, 0)


def test_every_alert_that_the_page_names_exists():
    assert set(re.findall(r"HarnessAR\w+", PAGE.read_text())) <= ALERTS.keys()
