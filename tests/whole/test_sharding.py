"""Shards: which spaces each one serves, and that together they export what one process would."""

from bisect import bisect_left
from collections import Counter
from concurrent.futures import wait
from itertools import chain

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from exporter.scopes import shard_of
from tests.support.apps import app_of
from tests.support.clocks import FakeClock
from tests.support.commands import run, served, settings_for
from tests.support.settings import settings_of
from tests.support.upstream import Upstream, make_rows

SEGMENT = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.$-]{0,9}", fullmatch=True)
REFS = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
SHARDS = st.integers(1, 20)


def test_a_space_stays_on_its_shard_from_version_to_version():
    """While pods are updated one by one, old and new ones agree on who serves what."""
    refs = ("acct", "acct/org", "acct/org/proj", "b")
    placed = {shards: [shard_of(ref, shards) for ref in refs] for shards in (1, 3, 7)}
    assert placed == {1: [0, 0, 0, 0], 3: [1, 2, 1, 2], 7: [1, 4, 4, 2]}


@given(st.lists(REFS, min_size=1, max_size=10, unique=True), SHARDS)
def test_each_space_is_on_exactly_one_shard(refs, shards):
    """The shards' spaces, put together, are all spaces, each once; on each shard in the order given."""
    whole = settings_of(spaces=",".join(refs), api_key="pat.acct.id.key")
    each = [whole.model_copy(update={"shard": shard, "shards": shards}) for shard in range(shards)]
    served_by = [[space.ref for space in one.served] for one in each]
    assert sorted(chain.from_iterable(served_by)) == sorted(refs)
    assert all(mine == sorted(mine, key=refs.index) for mine in served_by)


@given(REFS, SHARDS)
def test_one_more_shard_takes_spaces_and_moves_none_between_the_others(ref, shards):
    """A space stays where it is, or is on the new shard."""
    assert shard_of(ref, shards + 1) in {shard_of(ref, shards), shards}


@pytest.mark.parametrize("shards", range(1, 10))
def test_one_more_shard_takes_its_even_share(shards):
    """Of 10,000 spaces the new shard gets one in n + 1, and every shard has as many as any other."""
    refs = [f"acct/org/project_{number}" for number in range(10_000)]
    share = len(refs) / (shards + 1)
    moved = sum(shard_of(ref, shards) != shard_of(ref, shards + 1) for ref in refs)
    assert moved == pytest.approx(share, rel=0.1)
    spread = Counter(shard_of(ref, shards + 1) for ref in refs)
    assert spread == pytest.approx(dict.fromkeys(range(shards + 1), share), rel=0.1)


@pytest.mark.parametrize(
    "pods", [[{}] * 2, [{"shard": str(number), "shards": "3"} for number in range(3)]], ids=["replicas", "shards"]
)
@pytest.mark.simulation
def test_pods_that_divide_the_rate_limit_among_them_cause_no_429(pods):
    """As the Helm chart divides it: together they send no more than the default, well below what the API allows."""
    clock, times = FakeClock(), []
    defaults = settings_of(spaces="acct", api_key="pat.acct.id.key")
    limit, in_flight = defaults.rate_limit.requests, defaults.concurrency * len(pods)
    rows = dict.fromkeys(["acct", "acct/org", "acct/a/b"], make_rows(1_500))
    with Upstream(rows, before=lambda _: times.append(clock.monotonic())) as upstream:
        share = {"rate_limit": f"{limit // len(pods)}/m", "page_size": "10", "refresh_timeout": "10h"}
        apps = [app_of(upstream, clock, spaces=",".join(rows), **share, **pod) for pod in pods]
        wait([refresh for app in apps for refresh in app.refresher.start()], timeout=60)
        assert all(status.up for app in apps for status in app.refresher.statuses())
    assert len(times) > 400
    times.sort()
    # Those in flight arrive later than they were allowed, if another thread has moved the clock meanwhile.
    assert max(bisect_left(times, time + 60) - number for number, time in enumerate(times)) <= limit + in_flight < 400


SPACES = {ref: make_rows(rows) for rows, ref in enumerate(("acct", "acct/org", "acct/a/b", "b", "c/d", "e", "f"), 98)}


def exported(upstream: Upstream, **more: str) -> list[str]:
    """Walk through the spaces at a time that stands still, and return every line of what is exported."""
    app = app_of(upstream, FakeClock(), spaces=",".join(SPACES), rate_limit="off", concurrency="1", **more)
    wait(app.refresher.start(), timeout=20)
    return app.exposition.render_spaces().decode().splitlines()


@pytest.mark.parametrize("shards", [1, 2, 3, 9])
def test_shards_export_together_exactly_what_one_process_would(shards):
    """Each series is on one shard, with the same value; every shard describes every family; no page is asked twice."""
    with Upstream(SPACES) as upstream:
        whole = exported(upstream)
        asked = len(upstream.requests)
        parts = [exported(upstream, shard=str(shard), shards=str(shards)) for shard in range(shards)]
        assert len(upstream.requests) == 2 * asked
    comments = [line for line in whole if line.startswith("#")]
    assert sorted(set(whole) - set(comments)) == sorted(line for part in parts for line in part if line not in comments)
    assert all([line for line in part if line.startswith("#")] == comments for part in parts)


def test_the_commands_serve_check_and_dump_only_the_spaces_of_their_shard():
    """Two pods of a StatefulSet, as the chart runs them: acct is on 1, a on 0."""
    with Upstream({"acct": make_rows(3), "a": make_rows(4)}) as upstream:
        for shard, mine, other in ((0, "a", "acct"), (1, "acct", "a")):
            pod = settings_for(upstream, spaces="acct,a", shard=f"har-exporter-{shard}", shards="2")
            with served(**pod) as (_, url):
                pages = requests.get(f"{url}/metrics", timeout=10).text, run("dump", **pod).stdout
            for page in pages:
                assert f'har_up{{space="{mine}"}} 1.0' in page
                assert f'space="{other}"' not in page
            assert [line.split()[0] for line in run("check", **pod).stdout.splitlines()] == ["SPACE", mine]


def test_a_shard_without_spaces_is_ready_at_once_and_serves_metrics_of_its_own():
    """There may be more shards than spaces; nothing is wrong with what has nothing to do."""
    with Upstream(make_rows(3)) as upstream:
        idle = settings_for(upstream, shard="0", shards="2")
        with served(**idle) as (_, url):
            assert requests.get(f"{url}/-/ready", timeout=10).status_code == 200
            assert "This shard serves no space." in requests.get(url, timeout=10).text
            page = requests.get(f"{url}/metrics", timeout=10).text
        assert "har_exporter_build_info{" in page
        assert "# TYPE har_up gauge" in page
        assert "space=" not in page
        assert [run(command, **idle).returncode for command in ("check", "dump")] == [0, 0]
        assert upstream.requests == []
