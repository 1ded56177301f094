"""A simulated walk asks for what the real walker asks for, when it asks."""

import json
from functools import partial

import pytest

from exporter.inventory.tally import Tally
from exporter.inventory.walk import Walker
from tests.support.upstream import make_rows
from tools.plans import HOUR, Plan, run
from tools.simulation import Key
from tools.timeline import Task

pytestmark = pytest.mark.simulation


class Page:
    """A page on its way to the real walker; stands in for the future that it waits for."""

    def __init__(self, key: Key, space: str, page: int, body: bytes, deadline: float) -> None:
        self._body = body
        self._task = None
        self._error = None
        self._there = False
        self._asked = key.ask(space, page, deadline, self._arrive)

    def _arrive(self, error):
        self._error, self._there = error, True
        if self._task:
            self._task.resume()

    def result(self, _timeout):
        if not self._there:
            self._task = Task.current()
            self._task.park()
            self._task = None
        if self._error:
            raise self._error
        return self._body

    def cancel(self):
        self._asked.cancelled = True


def walker(plan, timeline, key, space):
    """Return the walk of the exporter's own walker through a space."""
    rows = make_rows(plan.estate[space])

    def fetch_page(query, deadline):
        page, size, _ = query
        listed = rows[page * size : (page + 1) * size]
        data = {"artifacts": listed, "itemCount": len(rows), "pageSize": size, "pageIndex": page}
        return Page(key, space, page, json.dumps({"status": "SUCCESS", "data": data}).encode(), deadline)

    new_tally = partial(Tally, findings=(), findings_limit=0, registries_limit=500, stale_ages={})
    return Walker(
        fetch_page, new_tally, timeline,
        page_size=plan.page_size, concurrency=plan.concurrency, timeout=plan.refresh_timeout,
    ).walk  # fmt: skip


ESTATE = {f"acct/org/project_{number}": (0, 9, 10, 55, 200, 730)[number % 6] for number in range(30)}


@pytest.mark.parametrize(
    "plan",
    [
        Plan(estate=ESTATE, page_size=10, rate=60),
        Plan(estate=ESTATE, page_size=10, rate=60, concurrency=1, scrape_interval=240.0),
        Plan(estate=ESTATE, page_size=10, rate=10, refresh_timeout=900.0),
    ],
    ids=["usual", "one page at a time", "walks that time out"],
)
def test_a_simulated_walk_sends_each_request_when_the_real_walker_sends_it(plan):
    simulated, real = run(plan), run(plan, walker)
    assert simulated.sent == real.sent
    assert simulated.seen == real.seen
    assert simulated.failed == real.failed


def test_walks_that_time_out_in_the_simulation_do_so_by_their_deadline():
    """So that the case above is one: four walks share what one of them could have."""
    assert run(Plan(estate=ESTATE, page_size=10, rate=10, refresh_timeout=900.0)).failed["timeout"] > 0


def test_two_simulations_of_a_plan_are_the_same():
    plan = Plan(estate=ESTATE, page_size=10, rate=60)
    assert run(plan) == run(plan)


def test_the_real_throttle_holds_in_the_simulation():
    """A lap of one key takes the minutes that its requests are worth, to the second."""
    plan = Plan(estate={"acct": 5_990}, page_size=10, rate=60, max_stale=2 * HOUR, cache_ttl=HOUR)
    sent = run(plan).sent
    assert len([time for time in sent if time < HOUR]) == 601
    assert sent[600] == pytest.approx(600.0, abs=5)
