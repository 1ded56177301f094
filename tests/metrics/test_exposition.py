"""From what is known to the page: object in, text out."""

import json
import random
import re
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.harness.envelope import Rejected
from exporter.harness.errors import REASONS
from exporter.harness.page import decode_page
from exporter.inventory.listed import SpaceLists
from exporter.inventory.refresh import Status
from exporter.inventory.registries import Registry
from exporter.inventory.snapshot import RegistryKey, Snapshot
from exporter.inventory.tally import Tally
from exporter.inventory.violations import NamedViolation, SpaceViolations, Verdict, ViolationTotals
from exporter.metrics.exposition import FAMILIES, OPENMETRICS, TEXT, Exposition
from exporter.metrics.family import FamilyCollector
from exporter.metrics.links import RegistryLink
from exporter.metrics.source_families import LISTED_FAMILIES, SourceView
from exporter.metrics.space_families import SPACE_FAMILIES, SpaceView
from exporter.serving.http import accepts_openmetrics
from tests.support.pages import NOW, process_view, samples
from tests.support.programs import find
from tests.support.upstream import make_row, make_rows

DAY = 86_400
TEMPLATE = "{base}/ng/account/{account}/module/har/orgs/{org}/projects/{project}/registries/{registry}"


def snapshot_of(rows, findings=("quarantined", "blocked"), registries=500) -> Snapshot:
    ages = {"7d": 7 * DAY, "30d": 30 * DAY}
    tally = Tally(NOW, findings=findings, findings_limit=500, registries_limit=registries, stale_ages=ages)
    page = decode_page(
        json.dumps({"status": "SUCCESS", "data": {"artifacts": rows}}).encode(), NOW, rows_asked=len(rows)
    )
    tally.add(page.artifacts)
    return Snapshot(NOW, NOW, tally.inventory(), 2, 100, 3, Rejected(4, 5, 6), len(rows), complete=True)


def view_of(snapshot: Snapshot | None, space: str = "acct/org") -> SpaceView:
    status = Status(space, "fresh", snapshot, True, 1.5, dict.fromkeys(REASONS, 0), None)
    return SpaceView(status, 300.0, RegistryLink(TEMPLATE, "https://h", space))


def exposition_of(*views: SpaceView) -> Exposition:
    return Exposition(lambda: views, process_view)


RICH = make_row(
    isQuarantined=True,
    scanStatus="BLOCKED",
    firewallMode="BLOCK",
    quarantineReason="CVE-2021-44228",
    purl="pkg:npm/artifact@1.0.0",
    downloadsCount=12,
    fileCount=3,
    digestCount=2,
    deploymentMetadata={"prodEnvCount": 2, "nonProdEnvCount": 0},
    lastScannedAt=str(int((NOW - 8 * DAY) * 1000)),
    registryUUID="reg-uuid",
    uuid="art-uuid",
    metadata={"tags": ["v1", "latest"]},
)


def test_a_finding_is_told_with_all_that_is_known_of_it():
    text = exposition_of(view_of(snapshot_of([RICH]))).render_spaces()
    assert set(samples(text, "har_artifact_finding{").values()) == {1.0}
    assert len(samples(text, "har_artifact_finding{")) == 2
    (info,) = samples(text, "har_artifact_finding_info{")
    for label in (
        'reason="CVE-2021-44228"',
        'purl="pkg:npm/artifact@1.0.0"',
        'uuid="art-uuid"',
        'tags="latest,v1"',
        'scan_status="BLOCKED"',
        'firewall_mode="BLOCK"',
        'url="https://h/ng/account/acct/module/har/orgs/org/registries/npm-remote"',
    ):
        assert label in info
    assert sorted(samples(text, "har_artifact_finding_environments{").values()) == [0.0, 2.0]
    assert list(samples(text, "har_artifact_finding_downloads{").values()) == [12.0]


KEY = RegistryKey("npm-remote", "NPM")
LISTED = SpaceLists(
    registries={
        KEY: Registry("npm-remote", "UPSTREAM", "uuid", public=False, packages=3, size=1536, firewall_mode="BLOCK")
    },
    violations=SpaceViolations(
        {KEY: ViolationTotals({Verdict("BLOCKED", "NONE"): 1}, {"Security": 1}, NOW)},
        (
            NamedViolation(
                KEY, "left-pad", "1.0.0", Verdict("BLOCKED", "NONE"), "Security", "policy", "pkg:npm/left-pad"
            ),
        ),
        dropped=0,
    ),
)
SOURCE = SourceView("registries", "acct/**", True, NOW, 1.5, dict.fromkeys(REASONS, 0), spaces=3)


def test_every_family_is_exported_and_has_the_labels_of_the_table():
    view = replace(view_of(snapshot_of([RICH])), listed=LISTED)
    text = b"".join(Exposition(lambda: (view,), process_view, lambda: [SOURCE]).render(TEXT).parts).decode()
    exported = {family.name: family for family in parse_text(text)}
    for row in FAMILIES:
        family = exported[row.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (row.type, row.help)
        assert family.samples
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(row.labels)


def test_violations_of_unknown_times_have_no_newest_one():
    totals = replace(LISTED.violations.registries[KEY], newest=None)
    listed = replace(LISTED, violations=replace(LISTED.violations, registries={KEY: totals}))
    text = exposition_of(replace(view_of(None), listed=listed)).render_spaces()
    assert samples(text, "har_firewall_violation_newest_timestamp_seconds{") == {}
    assert len(samples(text, "har_firewall_violations{")) == 1


def test_without_a_snapshot_only_what_needs_none_is_there():
    text = exposition_of(view_of(None)).render_spaces().decode()
    names = {line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names == {
        "har_up",
        "har_space_info",
        "har_refresh_duration_seconds",
        "har_refresh_interval_seconds",
        "har_refresh_failures_total",
    }


def test_there_are_no_created_series_no_timestamps_and_no_nan():
    page = exposition_of(view_of(snapshot_of([RICH]))).render(OPENMETRICS)
    lines = [line for line in b"".join(page.parts).decode().splitlines() if line.startswith("har_")]
    assert not [line for line in lines if "_created" in line or "NaN" in line]
    assert all(len(line.rpartition("}")[2].split()) == 1 for line in lines if "{" in line)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=abc", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;q=0.1, TEXT/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5,application/openmetrics-text;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("APPLICATION/OpenMetrics-Text ; Q = 0.5", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("\x00;;;=,,", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_accept_header_chooses_the_format(accept, content_type):
    openmetrics = accepts_openmetrics({"headers": [(b"accept", accept.encode())]})
    assert (OPENMETRICS if openmetrics else TEXT) == content_type


@pytest.mark.parametrize("content_type", [TEXT, OPENMETRICS])
def test_a_page_of_openmetrics_ends_once(content_type):
    page = exposition_of(view_of(None)).render(content_type)
    assert page.content_type == content_type
    assert b"".join(page.parts).endswith(b"# EOF\n") is (content_type == OPENMETRICS)
    assert b"".join(page.parts).count(b"# EOF") <= 1


def test_what_did_not_change_is_not_rendered_again_and_what_did_is():
    views = [view_of(snapshot_of([RICH]))]
    exposition = Exposition(lambda: tuple(views), process_view)
    first = exposition.render(TEXT).parts[0]
    assert exposition.render(TEXT).parts[0] is first
    views[0] = replace(views[0], status=replace(views[0].status, up=False))
    assert b'har_up{space="acct/org"} 0.0' in exposition.render_spaces()


def test_sources_that_did_not_change_are_not_rendered_again_and_those_that_did_are():
    """Thousands of entries have a counter for each reason and source."""
    sources = [SOURCE, replace(SOURCE, source="violations")]
    exposition = Exposition(tuple, process_view, lambda: tuple(sources))
    first = exposition.render(TEXT).parts[1]
    assert exposition.render(TEXT).parts[1] is first
    sources[1] = replace(sources[1], up=False)
    text = exposition.render(TEXT).parts[1]
    assert b'har_source_up{source="violations",space="acct/**"} 0.0' in text
    assert b'har_source_up{source="registries",space="acct/**"} 1.0' in text


VIEWS = st.lists(
    st.builds(
        lambda view, space: replace(view, status=replace(view.status, space=space)),
        st.sampled_from(
            [
                view_of(None),
                view_of(snapshot_of([RICH])),
                view_of(snapshot_of(make_rows(3))),
                replace(view_of(snapshot_of([RICH])), refresh_interval=60.0),
            ]
        ),
        st.sampled_from(["acct", "acct/org", "acct/org/project"]),
    ),
    unique_by=lambda view: view.space,
)


@settings(max_examples=60)
@given(seen=st.lists(st.tuples(VIEWS, st.sampled_from([TEXT, OPENMETRICS])), min_size=1))
def test_a_page_is_what_a_renderer_without_memory_makes_of_the_same_spaces(seen):
    """Whatever came before: spaces that come, go, change, change back, and trade places."""
    now: list[SpaceView] = []
    exposition = Exposition(lambda: tuple(now), process_view)
    for views, accept in seen:
        now[:] = views
        generate = generate_openmetrics if "openmetrics" in accept else generate_text
        whole, of_probe = (
            generate(FamilyCollector(families, lambda: now)).removesuffix(b"# EOF\n")
            for families in ((*SPACE_FAMILIES, *LISTED_FAMILIES), SPACE_FAMILIES)
        )
        assert exposition.render(accept).parts[0] == whole
        assert b"".join(exposition.render_only(lambda: now, accept).parts).removesuffix(b"# EOF\n") == of_probe


def test_a_space_that_did_not_change_is_not_rendered_for_another_that_did():
    """Hundreds of spaces are refreshed one by one, each between two scrapes."""
    rendered = []
    views = {
        space: replace(view_of(snapshot_of([RICH]), space), link=lambda _, space=space: rendered.append(space) or "")
        for space in ("acct/a", "acct/b")
    }
    exposition = Exposition(lambda: tuple(views.values()), process_view)
    exposition.render_spaces()
    assert set(rendered) == set(views)
    rendered.clear()
    views["acct/b"] = replace(views["acct/b"], status=replace(views["acct/b"].status, up=False))
    exposition.render_spaces()
    assert set(rendered) == {"acct/b"}


@pytest.mark.parametrize(
    ("space", "link"),
    [
        ("a", "https://h/ng/account/a/module/har/registries/r%2Fx"),
        ("a/o", "https://h/ng/account/a/module/har/orgs/o/registries/r%2Fx"),
        ("a/o/p", "https://h/ng/account/a/module/har/orgs/o/projects/p/registries/r%2Fx"),
    ],
)
def test_a_link_leaves_out_what_the_space_has_not(space, link):
    assert RegistryLink(TEMPLATE, "https://h", space)("r/x") == link
    assert RegistryLink("", "https://h", space)("r/x") == ""


def test_a_registry_of_deleted_rows_only_has_neither_ages_of_scans_nor_an_info():
    text = exposition_of(view_of(snapshot_of([make_row(deletedAt="1730978736333")]))).render_spaces()
    assert list(samples(text, "har_artifacts_deleted{").values()) == [1.0]
    assert samples(text, "har_artifacts_stale_scan{") == samples(text, "har_registry_info{") == {}


def test_registries_over_the_limit_have_one_info_without_a_link():
    """A join with the infos loses no artifact; a finding links to its own registry all the same."""
    rows = [make_row(n, registryIdentifier=f"r{n}", isQuarantined=True) for n in range(3)]
    text = exposition_of(view_of(snapshot_of(rows, registries=1))).render_spaces()
    assert list(samples(text, "har_registries_dropped{").values()) == [2.0]
    infos, links = samples(text, "har_registry_info{"), samples(text, "har_artifact_finding_info{")
    counted = {re.search('registry="(.*?)"', series)[1] for series in samples(text, "har_artifacts{")}
    assert {re.search('registry="(.*?)"', series)[1] for series in infos} == counted == {"r0", "(other)"}
    assert any('registry="(other)",registry_type="",registry_uuid=""' in info and 'url=""' in info for info in infos)
    assert sum('registries/r2"' in info for info in links) == 1


def test_a_finding_without_a_count_of_downloads_has_no_series_of_it():
    rows = [make_row(0, isQuarantined=True, downloadsCount=None), make_row(1, isQuarantined=True, downloadsCount=0)]
    text = exposition_of(view_of(snapshot_of(rows))).render_spaces()
    (series,) = samples(text, "har_artifact_finding_downloads{")
    assert "artifact-000001" in series
    assert len(samples(text, "har_artifact_finding{")) == 2


def test_a_space_that_was_never_refreshed_has_no_duration():
    view = view_of(None)
    never = replace(view, status=replace(view.status, refresh_seconds=None))
    assert b"\nhar_refresh_duration_seconds{" not in exposition_of(never).render_spaces()


def test_an_api_that_reports_no_count_has_only_what_was_fetched():
    (series,) = samples(
        exposition_of(view_of(replace(snapshot_of([RICH]), reported=None))).render_spaces(), "har_snapshot_artifacts{"
    )
    assert 'source="fetched"' in series


TEXTS = st.text(min_size=1, max_size=300) | st.text(
    st.characters(categories=["Cs", "Cc", "Cf"]), min_size=1, max_size=9
)
ROWS = st.lists(
    st.builds(
        lambda name, registry, version, status, mode, reason, quarantined: make_row(
            name=name, registryIdentifier=registry, version=version, scanStatus=status, firewallMode=mode,
            quarantineReason=reason, isQuarantined=quarantined,
        ),
        TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans(),
    ),
    max_size=5,
)  # fmt: skip


@given(ROWS)
def test_whatever_the_texts_the_page_parses_and_no_series_is_there_twice(rows):
    exposition = exposition_of(view_of(snapshot_of(rows)))
    text = b"".join(exposition.render(TEXT).parts).decode()
    series = [line.rpartition(" ")[0] for line in text.split("\n") if line and not line.startswith("#")]
    assert len(series) == len(set(series))
    assert sum(1 for family in parse_text(text) for _ in family.samples) == len(series)
    openmetrics = b"".join(exposition.render(OPENMETRICS).parts).decode()
    assert {family.name for family in parse_openmetrics(openmetrics)} >= {"har_up", "har_artifacts"}


BATCH = 500
UNFIT = "\x00\x07\n\r\t\x1b\x7f\x85\\\"'{}=,# \u061c\u200e\u202e\u2066\u2028\ud800\udfff\ufeff\ufffd"


def odd_text(chance):
    """Return a text with whatever may break a label, now and then longer than any label may be."""
    length = chance.choice([1, 2, 3, 5, 8, 255, 256, 257, 300])
    beginning = [chance.choice(UNFIT) if chance.random() < 0.6 else chr(chance.randrange(0x110000)) for _ in range(8)]
    return ("".join(beginning) * length)[:length]


def odd_rows(chance, number):
    """Return rows whose every text is odd; the texts come from so small a set that many collide."""
    texts = [odd_text(chance) for _ in range(number // 5)]
    few = ("registryIdentifier", "packageType", "firewallMode", "scanStatus")
    many = ("name", "version", "quarantineReason", "purl", "uuid", "registryUUID")
    return [
        make_row(isQuarantined=True)
        | {field: chance.choice(texts[:5]) for field in few}
        | {field: chance.choice(texts) for field in many}
        for _ in range(number)
    ]


@pytest.mark.parametrize("number", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_odd_label_sets_parse_in_both_formats_and_by_promtool(number):
    """No exception, no series twice, nothing that any parser refuses."""
    promtool = find("promtool")
    for seed in range(number // BATCH):
        exposition = exposition_of(view_of(snapshot_of(odd_rows(random.Random(seed), BATCH))))
        text = b"".join(exposition.render(TEXT).parts)
        parsed = [
            (sample.name, *sorted(sample.labels.items()))
            for family in parse_text(text.decode())
            for sample in family.samples
        ]
        assert len(parsed) == len(set(parsed)) > BATCH
        openmetrics = b"".join(exposition.render(OPENMETRICS).parts).decode()
        # That parser refuses a series that comes twice, too.
        assert sum(len(family.samples) for family in parse_openmetrics(openmetrics)) == len(parsed)
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_ten_rows_of_two_registries_add_up():
    rows = [*make_rows(7), *make_rows(3, registryIdentifier="other", registryUUID="other")]
    text = exposition_of(view_of(snapshot_of(rows))).render_spaces()
    assert sum(samples(text, "har_artifacts{").values()) == 10
