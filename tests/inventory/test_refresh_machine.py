"""Any order of scrapes, outcomes and time keeps what the states of a space promise.

The model is small: when the walk of good data began and ended, how the last refresh ended, how often in a row it failed
and until when the next one has to stay away. Nothing in it knows of caches, threads or locks.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.harness.errors import RefreshError
from tests.support.walks import MAX_STALE, TTL, Walks

BUDGETS = st.sampled_from([0.0, 0.125, 2.0, 4.75, 5.0, 10.0, 1_000.0])  # all exact in binary
DURATIONS = st.sampled_from([0.0, 0.125, 5.0, 200.0, TTL, MAX_STALE + 1])
TIMES = st.sampled_from([0.5, 2.25, 2.75, 5.0, 20.0, 150.0, TTL, MAX_STALE - TTL, MAX_STALE])
TTLS = st.sampled_from([1.0, TTL, 2 * TTL])
MAX_STALES = st.sampled_from([0.0, MAX_STALE, 2 * MAX_STALE])
ERRORS = st.sampled_from(RefreshError.__subclasses__())
DAY = 86_400.0


@dataclass
class Waiting:
    """A scrape that waits, until its deadline at most, for refreshes that go on."""

    deadline: float
    refreshes: list


class RefreshMachine(RuleBasedStateMachine):
    """One space, its scrapes, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.walks = Walks()
        self.clock = self.walks.clock
        self.waiting: list[Waiting] = []
        self.current = None
        self.walking = False
        self.ttl, self.max_stale = TTL, MAX_STALE
        self.outdated = False
        self.last_ok: bool | None = None
        self.good_at: float | None = None
        self.began_at = float("-inf")
        self.last_took: float | None = None
        self.not_before = 0.0
        self.in_a_row = 0
        self.failed = 0

    # The model

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @property
    def age(self) -> float:
        """How old the data is; infinite where there never was any."""
        return float("inf") if self.good_at is None else self.now - self.good_at

    @property
    def is_running(self) -> bool:
        """Whether a refresh was begun that has not ended."""
        return self.is_queued or self.walking

    @property
    def is_queued(self) -> bool:
        """Whether a refresh waits for its turn, of which notice will be taken."""
        return self.current in self.futures

    @property
    def futures(self) -> list:
        return [future for future, _ in self.walks.queue]

    @property
    def lasts(self) -> float:
        """How old data may be at all."""
        return max(self.ttl, self.max_stale)

    @property
    def is_fresh(self) -> bool:
        return self.now - self.began_at < self.ttl and not self.outdated

    def is_worth_waiting(self, budget: float) -> bool:
        """Tell a space without data, or one whose walk went well last time and in less than the scrape has."""
        return self.age >= self.lasts or (bool(self.last_ok) and (self.last_took or 0.0) <= budget)

    # What happens

    @rule(budgets=st.lists(BUDGETS, min_size=1, max_size=4))
    def scrapes_arrive_together(self, budgets):
        """They begin one refresh between them, if one is due and may begin; each waits only where it is worth it."""
        for budget in budgets:
            self.scrape(budget)

    def scrape(self, budget):
        before, running = self.futures, self.is_running
        begins = not (self.is_fresh or running) and self.now >= self.not_before
        expected = not self.is_fresh and (running or begins)
        waits = self.walks.scrape(budget)
        assert len(self.futures) - len(before) == begins
        if begins:
            self.current = self.futures[-1]
        assert bool(waits) is (expected and self.is_worth_waiting(budget))
        if waits:
            assert len(waits) == 1
            self.waiting.append(Waiting(self.now + budget, waits))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_scrape_leaves(self, data):
        """It takes nothing with it: neither the refresh nor what others wait for."""
        running = self.is_running
        self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        assert self.is_running is running

    @rule(seconds=TIMES)
    def time_passes(self, seconds):
        self.clock.tick(seconds)

    @rule(seconds=st.sampled_from([-400 * DAY, -DAY, -1.0, 1.0, DAY, 400 * DAY]))
    def the_wall_clock_jumps(self, seconds):
        """Nothing follows from it: the invariants know of the monotonic clock alone."""
        self.clock.jump(seconds)

    @precondition(lambda self: self.is_queued)
    @rule(took=DURATIONS, budgets=st.lists(BUDGETS, max_size=2))
    def a_refresh_succeeds(self, took, budgets):
        self.end(None, took, budgets)
        self.last_ok, self.good_at, self.in_a_row, self.not_before = True, self.now, 0, min(self.not_before, self.now)
        self.began_at, self.outdated = self.now - took, False

    @precondition(lambda self: self.is_queued)
    @rule(took=DURATIONS, budgets=st.lists(BUDGETS, max_size=2), error=ERRORS, hold=st.sampled_from([None, 1.0, 900.0]))
    def a_refresh_fails(self, took, budgets, error, hold):
        """The next one stays away for 5 s, twice as long with every further failure, less a jitter of half at most."""
        self.end(error("no", retry_after=hold), took, budgets)
        longest = min(5.0 * 2**self.in_a_row, 300.0)
        failure = self.walks.status.last_failure
        assert max(longest / 2, hold or 0.0) <= failure.pause <= max(longest, hold or 0.0)
        assert (failure.reason, failure.time) == (error.reason, self.clock.monotonic())
        self.last_ok, self.not_before = False, self.now + failure.pause
        self.in_a_row += 1
        self.failed += 1

    @precondition(lambda self: self.is_queued)
    @rule(budgets=st.lists(BUDGETS, min_size=1, max_size=2))
    def a_refresh_hangs(self, budgets):
        """However long it goes on, no other one begins, and data that grows too old is gone meanwhile."""
        for budget in budgets:
            self.clock.tick(MAX_STALE / 2)
            self.data_is_there_exactly_as_long_as_it_may_be()
            self.scrape(budget)

    @rule(spaces=st.sampled_from(["stays", "outdated", "reset"]), ttl=TTLS, max_stale=MAX_STALES)
    def settings_change(self, spaces, ttl, max_stale):
        """What stays keeps all; what is read again keeps its data; what starts anew keeps its counters only."""
        if self.age >= self.lasts and self.good_at is not None:
            self.good_at = self.began_at = float("-inf")
        self.ttl, self.max_stale = ttl, max_stale
        before = self.futures
        named = {spaces: {"acct"}} if spaces != "stays" else {}
        self.walks.reload("acct", **named, cache_ttl=ttl, max_stale=max_stale)
        if spaces == "stays":
            assert self.futures == before
            return
        assert self.futures[:-1] == before
        self.current, self.walking, self.not_before, self.outdated = self.futures[-1], False, 0.0, True
        if spaces == "reset":
            self.last_ok = self.good_at = self.last_took = None
            self.began_at, self.in_a_row, self.outdated = float("-inf"), 0, False

    @rule()
    def the_space_is_gone_for_a_while(self):
        self.walks.reload()
        assert (self.walks.refresher.statuses(), self.walks.scrape()) == ((), [])
        self.failed = 0
        self.settings_change("reset", self.ttl, self.max_stale)

    @precondition(lambda self: self.walks.queue and self.futures[0] is not self.current)
    @rule(error=ERRORS)
    def a_refresh_ends_that_nobody_wants(self, error):
        """Nothing follows from it, and it does not even begin to walk."""
        before = self.walks.refresher.statuses(), len(self.walks.walked)
        self.walks.finish(error("no"))
        assert (self.walks.refresher.statuses(), len(self.walks.walked)) == before
        self.forget_waits()

    @precondition(lambda self: self.is_queued)
    @rule(spaces=st.sampled_from(["outdated", "reset"]), error=st.none() | ERRORS)
    def settings_change_while_it_walks(self, spaces, error):
        self.walking = True
        self.walks.takes = 0.0
        self.walks.meanwhile = lambda: self.settings_change(spaces, self.ttl, self.max_stale)
        self.walks.finish(error and error("no"), self.futures.index(self.current))
        self.forget_waits()

    def forget_waits(self):
        self.waiting = [each for each in self.waiting if not all(future.done() for future in each.refreshes)]

    def end(self, error, took, budgets):
        """Let the refresh go on for so long, with scrapes in the middle of it, and then end."""

        def scrapes_meanwhile():
            self.walking = True
            for budget in budgets:
                self.scrape(budget)

        self.walks.takes = took
        self.walks.meanwhile = scrapes_meanwhile
        ended = self.current
        self.walks.finish(error, self.futures.index(ended))
        self.walking = False
        self.last_took = took
        assert ended.done()
        self.forget_waits()

    # What always holds

    @invariant()
    def up_tells_the_last_refresh(self):
        assert self.walks.status.up is bool(self.last_ok)

    @invariant()
    def data_is_there_exactly_as_long_as_it_may_be(self):
        assert (self.walks.status.snapshot is not None) is (self.age < self.lasts)

    @invariant()
    def failures_are_all_counted(self):
        assert sum(self.walks.status.failures.values()) == self.failed

    @invariant()
    def the_state_follows_from_age_and_outcome(self):
        states = {
            "fresh": self.is_fresh,
            "due": not self.is_fresh and self.age < self.lasts and self.last_ok,
            "failing": not self.is_fresh and self.age < self.lasts and not self.last_ok,
            "expired": self.good_at is not None and self.age >= self.lasts,
            "cold": self.good_at is None,
        }
        assert [state for state, holds in states.items() if holds] == [self.walks.status.state]

    @invariant()
    def scrapes_wait_for_nothing_but_the_refresh_that_goes_on(self):
        """So that none of them is kept longer than that refresh, or longer than its own deadline."""
        assert all(len(each.refreshes) == 1 and each.refreshes[0] in self.futures for each in self.waiting)


TestRefreshMachine = RefreshMachine.TestCase
TestRefreshMachine.settings = settings(stateful_step_count=20)
