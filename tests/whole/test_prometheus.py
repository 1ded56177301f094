"""The exporter seen by Debian's real programs: promtool reads its page, Prometheus scrapes it through every fault."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.commands import free_port, served, settings_for
from tests.support.programs import find
from tests.support.stack import Prometheus, eventually, prometheus
from tests.support.upstream import Fault, Upstream, make_rows, redirect, reply, truncated

ROWS = 130
MAX_STALE = 15
SHORT = {"cache_ttl": "1s", "request_timeout": "1s", "max_stale": f"{MAX_STALE}s"}
HANG = threading.Event()


def hang() -> Fault:
    HANG.wait(60)
    return None


FAULTS: dict[str, Callable[[], Fault]] = {
    "hung": hang,
    "server error": lambda: reply(503),
    "unauthorized": lambda: reply(401),
    "bad JSON": lambda: reply(200, "{"),
    "half a page": lambda: truncated(b'{"data": '),
    "slow body": lambda: reply(200, b"{", [("Content-Length", "1000")]),
    "redirect": lambda: redirect("http://127.0.0.1:1/"),
}
REFUSED = "refused"

Series = dict[float, float]
"""Values by the time of their scrape."""


def scraping(folder: Path, targets: dict[str, str]) -> AbstractContextManager[Prometheus]:
    """Run a Prometheus that scrapes URLs twice a second, each as an instance of some name."""
    static = [{"targets": [url.removeprefix("http://")], "labels": {"instance": name}} for name, url in targets.items()]
    job = {"job_name": "har-exporter", "static_configs": static}
    return prometheus(
        folder, {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": [job]}
    )


def value(server: Prometheus, expression: str) -> float | None:
    """Return the value of an expression with at most one series; None where it has none."""
    (result,) = server.query(expression)[:1] or [None]
    return float(result["value"][1]) if result else None


def samples(server: Prometheus, selector: str) -> Series:
    """Return all samples of one series, as they were scraped."""
    (result,) = server.query(f"{selector}[1h]")
    return values(result)


def values(result: dict[str, Any]) -> Series:
    return {float(at): float(value) for at, value in result["values"]}


@pytest.fixture(scope="module")
def demo():
    with served("demo") as (_, url):
        yield url


@pytest.mark.parametrize(
    ("accept", "parse"), [("text/plain", parse_text), ("application/openmetrics-text", parse_openmetrics)]
)
def test_the_page_of_the_demo_parses_in_both_formats(accept, parse, demo):
    page = requests.get(f"{demo}/metrics", headers={"Accept": accept}, timeout=10)
    assert page.headers["Content-Type"].startswith(accept)
    assert {"har_artifacts", "har_up", "process_cpu_seconds"} <= {family.name for family in parse(page.text)}


@pytest.mark.parametrize("path", ["/metrics", "/probe?space=demo", "/probe?space=demo/platform"])
def test_promtool_accepts_the_page_of_the_demo(path, demo):
    promtool = find("promtool")
    page = requests.get(demo + path, timeout=10)
    assert page.status_code == 200
    done = subprocess.run([promtool, "check", "metrics"], input=page.content, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_prometheus_scrapes_the_demo_and_knows_the_number_of_its_artifacts(tmp_path):
    with served("demo") as (_, url), scraping(tmp_path, {"demo": url}) as server:
        eventually(lambda: value(server, "sum(har_up)") in {3, 4})
        # A space comes and goes.
        stable = '{space!="demo/platform/preview"}'
        lines = requests.get(f"{url}/metrics", timeout=10).text.splitlines()
        of_spaces = (line for line in lines if line.startswith("har_artifacts{") and "/preview" not in line)
        artifacts = sum(float(line.rpartition(" ")[2]) for line in of_spaces)
        eventually(lambda: value(server, f"sum(har_artifacts{stable})") == artifacts)
        assert value(server, "sum(up)") == 1


TOLD = ("up", "har_up", "har_snapshot_timestamp_seconds", "har_artifacts")


class Story(NamedTuple):
    """What Prometheus knows of one exporter: its upstream fails, recovers, fails until the data expires, recovers.

    Attributes:
        scrapes: `up`.
        healthy: `har_up`.
        began: `har_snapshot_timestamp_seconds`.
        artifacts: `sum(har_artifacts)` of one scrape, by way of the one series that is not 0.
        recovered: when the first failure had passed.
    """

    scrapes: Series
    healthy: Series
    began: Series
    artifacts: Series
    recovered: float


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """Live through all faults at once."""
    HANG.clear()
    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(Upstream(make_rows(ROWS))) for name in FAULTS}
        refusing = stack.enter_context(closing(Refusing()))
        targets = {
            name: stack.enter_context(served(**settings_for(upstream, **SHORT)))[1]
            for name, upstream in (upstreams | {REFUSED: refusing.upstream}).items()
        }
        server = stack.enter_context(scraping(tmp_path_factory.mktemp("prometheus"), targets))
        stack.callback(HANG.set)

        def fail() -> None:
            for name, upstream in upstreams.items():
                upstream.fault = lambda _, fault=FAULTS[name]: fault()

        def recover() -> None:
            for upstream in upstreams.values():
                upstream.fault = None

        eventually(lambda: value(server, "count(har_up == 1)") == len(targets))
        fail()
        eventually(lambda: value(server, "count(har_up == 0)") == len(upstreams))
        recover()
        eventually(lambda: value(server, "count(har_up == 1)") == len(targets))
        recovered = time.time()
        fail()
        refusing.close()
        eventually(lambda: value(server, "count(har_up == 0)") == len(targets))
        eventually(lambda: value(server, "count(har_snapshot_timestamp_seconds)") is None)
        recover()
        eventually(lambda: value(server, "count(har_up == 1)") == len(upstreams))
        yield {name: story(server, name, recovered) for name in targets}


class Refusing:
    """An upstream until it is closed, whose port then refuses connections."""

    def __init__(self):
        self.upstream = Upstream(make_rows(ROWS)).__enter__()
        self._open = True

    def close(self):
        if self._open:
            self.upstream.__exit__()
        self._open = False


def story(server: Prometheus, name: str, recovered: float) -> Story:
    # One query: between two of them there may be another scrape.
    told = server.query(f'{{__name__=~"{"|".join(TOLD)}",scan_status=~"(ALLOWED)?",instance="{name}"}}[1h]')
    series = {result["metric"]["__name__"]: values(result) for result in told}
    return Story(*(series[metric] for metric in TOLD), recovered)


NAMES = [*FAULTS, REFUSED]


@pytest.mark.parametrize("name", NAMES)
def test_every_scrape_succeeds_whatever_the_upstream_does(name, stories):
    assert set(stories[name].scrapes.values()) == {1.0}
    assert stories[name].healthy.keys() == stories[name].scrapes.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_last_good_values_stay_while_refreshes_fail_and_no_other_ones_are_told(name, stories):
    told = stories[name]
    assert set(told.artifacts.values()) == {float(ROWS)}
    assert {told.healthy[at] for at in told.artifacts} == {0.0, 1.0}
    assert told.artifacts.keys() == told.began.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_that_passes_leaves_no_gap(name, stories):
    told = stories[name]
    first = min(told.artifacts)
    expected = {at for at in told.scrapes if first <= at <= told.recovered}
    assert expected <= told.artifacts.keys()


@pytest.mark.parametrize("name", NAMES)
def test_expired_values_are_gone_and_none_is_older_than_it_may_be(name, stories):
    told = stories[name]
    slack = 2.0  # the walk itself, from whose end ages count
    assert all(at - began <= MAX_STALE + slack for at, began in told.began.items())
    gap = [at for at in told.scrapes if at > told.recovered and at not in told.artifacts]
    assert gap
    assert {told.healthy[at] for at in gap} == {0.0}


@pytest.mark.parametrize("name", FAULTS)
def test_values_come_back_with_the_upstream(name, stories):
    assert max(stories[name].artifacts) > max(at for at, up in stories[name].healthy.items() if not up)


def test_a_restart_is_a_gap_and_never_half_the_values(tmp_path):
    listen = ("--listen-address", f"127.0.0.1:{free_port()}")
    with Upstream(make_rows(ROWS)) as upstream, ExitStack() as stack:
        with served(*listen, **settings_for(upstream)) as (_, url):
            server = stack.enter_context(scraping(tmp_path, {"one": url}))
            eventually(lambda: value(server, "sum(har_artifacts)") == ROWS)
        eventually(lambda: value(server, "up") == 0)
        assert value(server, "sum(har_artifacts)") is None
        with served(*listen, **settings_for(upstream)):
            eventually(lambda: value(server, "sum(har_artifacts)") == ROWS)
            assert set(samples(server, 'har_artifacts{scan_status="ALLOWED"}').values()) == {ROWS}
            assert value(server, "up") == 1
