"""The benchmarks measure what they say, on listings so small that nothing is timed."""

import re
import shutil
import sys
from itertools import chain

import pytest
import requests

from benchmarks import __main__ as bench
from benchmarks import changing, decoding, freshness, growth, scraping, walks
from benchmarks.contest import Spread, turn_of
from benchmarks.listing import Listing
from benchmarks.process import running
from benchmarks.table import Row, Section, markdown
from benchmarks.upstream import upstream
from benchmarks.walks import Course
from exporter.harness.page import decode_page

NOW = 1_795_000_000.0
SMALL = Listing(0, 250)
FAR = SMALL._replace(milliseconds=1)


def identities(page):
    return [(row.registry_uuid, row.package_type, row.name, row.version) for row in page.artifacts]


def test_the_upstream_serves_each_artifact_once_and_counts_them():
    with upstream() as url:
        address = f"{url}/har/api/v1/spaces/{SMALL.space}/+/artifacts"
        bodies = [requests.get(address, {"page": page, "size": 100}, timeout=10).content for page in range(4)]
    pages = [decode_page(body, NOW, rows_asked=100) for body in bodies]
    assert [page.rows for page in pages] == [100, 100, 50, 0]
    assert {page.item_count for page in pages} == {250}
    assert len(set(chain(*map(identities, pages)))) == 250
    assert {page.rejected for page in pages} == {(0, 0, 0)}


def test_a_row_has_the_size_of_real_ones():
    assert 900 < len(SMALL.body(0, 100)) / 100 < 1000


def test_all_ways_to_add_up_count_the_same_artifacts():
    bodies = [SMALL.body(page, 100) for page in range(3)]
    assert decoding.tallied(bodies, NOW) == decoding.looped(bodies, NOW) == 250


def test_every_contestant_walks_and_those_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    far, near = walks.sections([Course(FAR, 100, 1, drain=2.2), Course(SMALL, 100, 1, naive=2.0)])
    assert next(row.text for row in far.rows if row.bound) == "har-exporter / drain in order"
    assert next(row.text for row in near.rows if row.bound) == "naive script / har-exporter"
    texts = {row.text for row in near.rows}
    assert texts >= {f"{name}, duration" for name in ("drain in order", "adding up", "fetching", "naive script")}
    assert near.notes == tuple(f"Omitted: {name} is not installed." for name in (walks.CURL, walks.GO))


def test_curl_and_go_walk_where_they_are_installed():
    (section,) = walks.sections([Course(FAR, 100, 1)])
    assert not any(row.bound for row in section.rows if row.text.startswith("har-exporter / "))
    texts = {row.text for row in section.rows}
    for program, name in (("curl", walks.CURL), ("go", walks.GO)):
        assert (f"har-exporter / {name}" in texts) == bool(shutil.which(program))


def test_growth_reads_time_memory_and_number_of_a_real_process():
    with upstream() as url:
        walked = growth.walk(url, Listing(0, 1_234))
    assert walked.artifacts == 1_234
    assert 0 < walked.seconds < 60
    assert 10 < walked.peak < 200


@pytest.mark.long
def test_scrapes_are_measured_idle_and_while_walking():
    sections = list(scraping.sections(Listing(0, 250, registries=5), Listing(20, 3_000), repetitions=2))
    beside, walking = sections
    assert beside.title.endswith(" series")
    assert any(row.bound for row in beside.rows) == bool(shutil.which("prometheus-pushgateway"))
    assert bool(beside.notes) != bool(shutil.which("prometheus-pushgateway"))
    assert [bool(row.bound) for row in walking.rows] == [True, False]


@pytest.mark.parametrize(
    ("bound", "limit", "reached"),
    [
        ("at most", 2.0, True),
        ("at most", 1.9, False),
        ("at least", 2.0, True),
        ("at least", 2.1, False),
        (None, 0, True),
    ],
)
def test_a_target_is_reached_by_the_median(bound, limit, reached):
    row = Row("a / b", Spread.of([1.0, 2.0, 9.0]), "x", bound, limit)
    assert row.reached is reached
    verdict = ("reached" if reached else "MISSED") if bound else ""
    assert row.cells() == ("a / b", "2 x", "1 to 9", f"{bound} {limit:.4g} x" if bound else "", verdict)


def test_a_table_is_written_between_its_marks_and_nowhere_else():
    block = markdown([Section("Title", (Row("a / b", Spread(1, 1, 1), "x", "at most", 2),), ("Omitted: c.",))])
    assert "### Title\n\n| measurement |" in block
    assert "| a / b | 1 x |  | at most 2 x | reached |\n\nOmitted: c." in block
    document = f"before\n{bench.BEGIN}old\n{bench.END}after\n"
    once = bench.written(document, bench.BEGIN, block)
    assert once == f"before\n{bench.BEGIN}\n{block}\n{bench.END}after\n"
    assert bench.written(once, bench.BEGIN, block) == once


def test_the_document_keeps_a_whole_table():
    fresh = bench.between(bench.DOCUMENT.read_text(), bench.BEGIN_FRESHNESS)
    assert set(re.findall(r"^### (.*)$", fresh, re.MULTILINE)) >= {
        course.title for course in freshness.COURSES.values() if course.target
    }
    table = bench.between(bench.DOCUMENT.read_text(), bench.BEGIN)
    for course in walks.COURSES:
        assert f"### {course.title}\n" in table
    for title in ("CPU time", "Growth", "/metrics with", "/metrics during", "Start"):
        assert f"### {title}" in table


def test_only_the_measured_courses_of_freshness_are_replaced():
    first, second = (course.title for course in [*freshness.COURSES.values()][:2])
    row = Row("a", Spread(1, 1, 1), "s")
    block = bench.updated("", [Section(second, (row,)), Section(first, (row,))])
    again = bench.updated(f"\n{block}\n", [Section(second, (Row("b", Spread(2, 2, 2), "s"),))])
    assert again.index(first) < again.index("| a | 1 s |") < again.index(second) < again.index("| b | 2 s |")
    assert again.count("| a |") == 1


FAST = {"minutes": 0.03, "changes": 4, "scrape_interval": 0.5, "cache_ttl": "1s", "violations_ttl": "1s"}


@pytest.mark.parametrize(
    "course",
    [freshness.Course(250, 100, spaces=2, **FAST), freshness.Course(250, 100, violations=True, **FAST)],
    ids=["artifacts", "violations"],
)
def test_changes_become_known_by_scrapes_of_a_real_process(course):
    seconds, refused, failed = freshness.measured(course)
    assert (len(seconds), refused, failed) == (4, 0, 0)
    assert all(0 < known < 20 for known in seconds)


def test_the_changing_upstream_refuses_the_401st_request_in_a_minute_and_counts_it():
    limiter = changing.Limiter()
    assert all(limiter.allows(100.0) for _ in range(400))
    assert not limiter.allows(159.0)
    assert limiter.allows(160.0)
    assert [limiter.refused(), limiter.refused()] == [1, 0]


def test_a_turn_that_comes_to_the_wrong_number_ends_the_run():
    turn = 'import sys; print(\'{"seconds": 1.5, "result": 3}\', flush=True)\nfor _ in sys.stdin: pass'
    with running([sys.executable, "-c", turn]) as process:
        assert turn_of(process, 3) == 1.5
    with running([sys.executable, "-c", turn]) as process, pytest.raises(ValueError, match="3 instead of 4"):
        turn_of(process, 4)
