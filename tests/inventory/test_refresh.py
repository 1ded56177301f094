"""The snapshot of a space over time: states, single flight, last good data, back-off."""

import weakref

import pytest

from exporter.clock import Stopped
from exporter.harness.errors import REASONS, AuthError, PaginationError, RateLimitedError, RefreshError, ServerError
from tests.support.walks import MAX_STALE, TTL, Walks, snapshot


def failing() -> Walks:
    """Return a space that has data, and whose last refresh failed."""
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL)
    walks.scrape()
    walks.finish(ServerError("down"))
    return walks


def test_a_space_is_cold_and_down_before_its_first_refresh():
    status = Walks().status
    assert (status.state, status.up, status.snapshot, status.refresh_seconds) == ("cold", False, None, None)
    assert status.failures == dict.fromkeys(REASONS, 0)


def test_scrapes_of_a_cold_space_wait_for_one_refresh():
    walks = Walks()
    waits = [walks.scrape() for _ in range(20)]
    assert len(walks.queue) == 1
    assert all(wait == [walks.queue[0][0]] for wait in waits)


def test_a_good_refresh_makes_the_space_fresh_and_up():
    walks = Walks()
    walks.scrape()
    good = snapshot(1.0)
    walks.finish(good)
    status = walks.status
    assert (status.state, status.up, status.refresh_seconds, status.last_failure) == ("fresh", True, 2.0, None)
    assert status.snapshot is good


def test_a_walk_gets_the_last_snapshot():
    walks = Walks()
    for scrape in range(3):
        walks.scrape()
        walks.finish(snapshot(float(scrape)))
        walks.clock.tick(TTL)
    assert [last and last.began for last in walks.lasts] == [None, 0.0, 1.0]


def test_a_fresh_space_answers_at_once_and_starts_nothing():
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL - walks.takes - 1)
    assert walks.scrape() == []
    assert walks.queue == []


def test_freshness_counts_from_the_start_of_the_walk():
    walks = Walks()
    walks.takes = 100.0
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL - 100.5)
    assert walks.status.state == "fresh"
    walks.clock.tick(0.5)
    assert walks.status.state == "due"


def test_data_of_a_walk_that_took_longer_than_cache_ttl_is_due_and_served_for_all_of_max_stale():
    walks = Walks()
    walks.takes = TTL + 1
    walks.scrape()
    walks.finish()
    assert walks.status.state == "due"
    walks.clock.tick(MAX_STALE - 1)
    assert walks.status.state == "due"
    walks.clock.tick(1)
    assert walks.status.state == "expired"


@pytest.mark.parametrize(("budget", "waits"), [(2.0, True), (1.9, False)])
def test_a_scrape_of_a_due_space_waits_only_for_a_walk_that_is_short_enough(budget, waits):
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL)
    assert bool(walks.scrape(budget)) is waits
    assert len(walks.queue) == 1
    assert walks.status.up
    assert walks.status.snapshot is not None


def test_a_failed_refresh_leaves_the_last_good_snapshot_down_and_counted():
    walks = Walks()
    walks.scrape()
    good = snapshot(1.0)
    walks.finish(good)
    walks.clock.tick(TTL)
    walks.scrape()
    walks.finish(AuthError("no\nsuch key", hint="look", status=401))
    status = walks.status
    assert (status.state, status.up) == ("failing", False)
    assert status.snapshot is good
    assert status.failures == dict.fromkeys(REASONS, 0) | {"auth": 1}
    failure = status.last_failure
    assert failure is not None
    assert (failure.reason, failure.message, failure.hint, failure.status) == ("auth", "no?such key", "look", 401)
    assert failure.time == walks.clock.monotonic()


def test_a_failing_space_answers_at_once_even_while_it_is_refreshed():
    walks = failing()
    walks.clock.tick(60)
    assert walks.scrape() == []
    assert len(walks.queue) == 1


def test_a_cold_space_that_failed_answers_at_once_until_its_backoff_is_over():
    walks = Walks()
    walks.scrape()
    walks.finish(ServerError("down"))
    walks.clock.tick(2.4)
    assert walks.scrape() == []
    assert walks.queue == []
    walks.clock.tick(2.6)
    assert len(walks.scrape()) == 1


def backoffs(failures: int, error: RefreshError, cache_ttl: float = TTL) -> list[float]:
    """Fail so often, and return the pauses that kept the next refresh away."""
    walks = Walks(cache_ttl=cache_ttl)
    pauses = []
    for _ in range(failures):
        walks.scrape()
        walks.finish(error)
        pause = 0.0
        while not walks.scrape():
            walks.clock.tick(0.5)
            pause += 0.5
        pauses.append(pause)
    return pauses


def test_the_backoff_doubles_from_5_s_up_to_5_minutes_with_jitter_downwards():
    full = [5, 10, 20, 40, 80, 160, 300, 300]
    for pause, longest in zip(backoffs(8, ServerError("down")), full, strict=True):
        assert longest / 2 <= pause <= longest + 0.5


def test_the_longest_back_off_is_five_minutes_whatever_the_time_to_live():
    """A server that is down is left in peace, however fresh the data should be."""
    assert 150.0 <= backoffs(8, ServerError("down"), cache_ttl=8.0)[-1] <= 300.5


def test_the_backoff_starts_again_after_a_success():
    walks = Walks()
    for _ in range(5):
        walks.scrape()
        walks.finish(ServerError("down"))
        walks.clock.tick(TTL)
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL)
    walks.scrape()
    walks.finish(ServerError("down"))
    walks.clock.tick(5)
    walks.scrape()
    assert len(walks.queue) == 1


def test_a_space_that_the_server_put_on_hold_is_left_alone_that_long():
    assert backoffs(1, RateLimitedError("slow down", retry_after=700.0)) == [700.0]


def test_data_is_gone_once_it_is_older_than_it_may_be():
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.clock.tick(MAX_STALE - 1)
    assert walks.status.snapshot is not None
    walks.clock.tick(2)
    assert (walks.status.state, walks.status.snapshot) == ("expired", None)
    assert len(walks.scrape()) == 1


@pytest.mark.parametrize("max_stale", [0.0, 10.0])
def test_data_is_never_served_for_less_than_the_time_to_live(max_stale):
    walks = Walks(max_stale=max_stale)
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL - 1)
    assert walks.status.snapshot is not None
    walks.clock.tick(2)
    assert walks.status.snapshot is None


def test_the_end_of_every_refresh_is_told_and_so_is_data_that_expired():
    walks = failing()
    walks.clock.tick(MAX_STALE)
    walks.scrape()
    told = [(status.space, status.state) for status in walks.told]
    assert told == [("acct", "fresh"), ("acct", "failing"), ("acct", "expired")]


def test_a_fault_of_the_exporter_says_where_it_happened_and_not_what_it_said():
    walks = Walks()
    walks.scrape()
    walks.finish(ZeroDivisionError("canary"))
    assert walks.status.failures["internal"] == 1
    failure = walks.status.last_failure
    assert (failure.reason, failure.message) == ("internal", "ZeroDivisionError")
    assert "walks.py" in failure.traceback
    assert all(line.startswith("  ") for line in failure.traceback.splitlines())
    assert "canary" not in str(failure)


class Read:
    """What a walk has read."""

    def fail(self, error: Exception) -> None:
        """Fail in a call that keeps the error, which comes from one that another call keeps."""
        try:
            self._because(KeyError("cause"))
        except KeyError as cause:
            raise error from cause

    def _because(self, cause: Exception) -> None:
        raise cause


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", [ServerError, ZeroDivisionError])
def test_nothing_that_a_walk_has_read_outlives_its_failure(kind):
    walks, read = Walks(), []

    def fail():
        tally = Read()
        read.append(weakref.ref(tally))
        try:
            tally.fail(kind("down"))
        finally:
            del tally

    walks.meanwhile = fail
    walks.scrape()
    walks.finish()
    assert not walks.status.up
    assert read[0]() is None


def test_spaces_fail_alone():
    walks = Walks("good", "bad")
    walks.refresher.start()
    walks.finish()
    walks.finish(PaginationError("loop"))
    good, bad = walks.refresher.statuses()
    assert (good.up, bad.up) == (True, False)
    assert sum(good.failures.values()) == 0
    assert walks.walked == ["good", "bad"]


def test_a_refresh_that_shutdown_cuts_short_changes_nothing():
    walks = Walks()
    walks.scrape()
    walks.finish(Stopped())
    assert (walks.status.state, walks.status.last_failure) == ("cold", None)
    assert not walks.refresher.refreshing()


def test_start_begins_one_refresh_of_every_space_and_no_second_one():
    walks = Walks("a", "b")
    assert len(walks.refresher.start()) == 2
    assert len(walks.refresher.start()) == 2
    assert len(walks.queue) == 2
    walks.finish()
    walks.finish()
    assert walks.walked == ["a", "b"]
    walks.clock.tick(2 * TTL)
    assert walks.refresher.start() == []


def test_all_are_tried_once_every_first_refresh_has_ended_well_or_not():
    walks = Walks("a", "b")
    walks.refresher.start()
    walks.finish(ServerError("down"))
    assert not walks.refresher.all_tried()
    walks.finish()
    assert walks.refresher.all_tried()


def test_requests_and_hits_are_counted_for_each_space():
    walks = Walks("a", "b")
    walks.scrape()
    walks.finish()
    walks.scrape()
    counts = walks.refresher.cache_counts()
    assert (counts["a"].requests, counts["a"].hits) == (2, 1)
    assert (counts["b"].requests, counts["b"].hits) == (2, 0)


def test_every_fresh_answer_is_a_hit():
    walks = Walks()
    walks.scrape()
    walks.finish()
    for _ in range(3):
        walks.scrape()
    counts = walks.refresher.cache_counts()["acct"]
    assert (counts.requests, counts.hits) == (4, 3)


def test_a_walk_that_took_no_time_is_worth_waiting_for_without_any_budget():
    walks = Walks()
    walks.takes = 0.0
    walks.scrape()
    walks.finish()
    walks.clock.tick(TTL)
    assert len(walks.scrape(0.0)) == 1


def test_a_failure_tells_how_long_the_space_is_left_alone():
    walks = Walks()
    walks.scrape()
    walks.finish(ServerError("down"))
    assert 2.5 <= walks.status.last_failure.pause < 5.0
    walks.clock.tick(5.0)
    walks.scrape()
    walks.finish(RateLimitedError("slow down", retry_after=20.0))
    assert walks.status.last_failure.pause == 20.0
    assert walks.status.last_failure.traceback == ""


def test_statuses_are_told_under_the_name_of_their_space():
    assert [status.space for status in Walks("a", "b").refresher.statuses()] == ["a", "b"]


def test_statuses_are_equal_while_nothing_happens_and_differ_after_a_refresh():
    walks = Walks()
    walks.scrape()
    walks.finish()
    before = walks.refresher.statuses()
    walks.scrape()
    assert walks.refresher.statuses() == before
    walks.clock.tick(TTL)
    walks.scrape()
    walks.finish()
    assert walks.refresher.statuses() != before


def test_a_space_that_stays_keeps_everything():
    walks = failing()
    before = walks.refresher.statuses(), walks.refresher.cache_counts()
    walks.reload("acct")
    assert (walks.refresher.statuses(), walks.refresher.cache_counts()) == before
    walks.scrape()
    assert walks.queue == []


def test_a_space_that_stays_fresh_is_not_refreshed():
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.reload("acct")
    assert walks.queue == []


def test_a_refresh_that_runs_goes_on_where_its_space_stays():
    walks = Walks()
    walks.scrape()
    walks.reload("acct")
    walks.finish()
    assert walks.status.state == "fresh"


def test_a_space_that_is_new_is_refreshed_at_once_and_one_that_goes_is_gone_at_once():
    walks = Walks("old")
    walks.refresher.start()
    walks.reload("new")
    walks.finish()
    assert walks.walked == []
    walks.finish()
    assert walks.walked == ["new"]
    assert [(status.space, status.state) for status in walks.refresher.statuses()] == [("new", "fresh")]
    assert list(walks.refresher.cache_counts()) == ["new"]
    assert walks.refresher.all_tried()


@pytest.mark.parametrize("outcome", [None, ServerError("down"), Stopped()])
@pytest.mark.parametrize("spaces", [(), ("acct",)])
def test_no_notice_is_taken_of_a_walk_whose_space_went_meanwhile(outcome, spaces):
    walks = Walks()
    walks.scrape()
    walks.meanwhile = lambda: walks.reload(*spaces, reset=spaces)
    walks.finish(outcome)
    assert [status.state for status in walks.refresher.statuses()] == ["cold"] * len(spaces)
    assert walks.told == []


def test_a_space_that_starts_anew_is_cold_without_a_back_off_and_its_counters_go_on():
    walks = Walks()
    walks.scrape()
    walks.finish()
    walks.scrape()
    walks.clock.tick(TTL)
    walks.scrape()
    walks.finish(ServerError("down"))
    failures, counts = walks.status.failures, walks.refresher.cache_counts()
    walks.reload("acct", reset={"acct"})
    status = walks.status
    assert (status.state, status.up, status.snapshot, status.last_failure) == ("cold", False, None, None)
    assert (status.failures, walks.refresher.cache_counts()) == (failures, counts)
    walks.finish()
    assert (walks.status.state, walks.queue) == ("fresh", [])


def test_a_space_that_is_read_again_serves_its_old_data_meanwhile_and_its_back_off_is_over():
    walks = Walks()
    walks.scrape()
    walks.finish()
    served = walks.status.snapshot
    walks.reload("acct", outdated={"acct"})
    assert (walks.status.state, walks.status.snapshot) == ("due", served)
    walks.finish(ServerError("down"))
    assert (walks.status.state, walks.status.snapshot) == ("failing", served)
    assert walks.scrape() == []
    walks.reload("acct", outdated={"acct"})
    walks.finish()
    assert (walks.status.state, walks.status.last_failure) == ("fresh", None)


def test_a_space_that_is_read_again_is_walked_through_as_the_new_settings_say_though_a_refresh_runs():
    walks, other = Walks(), Walks()
    walks.scrape()
    walks.refresher.reload(
        other._walks("acct"), submit=walks._submit, reset=(), outdated={"acct"}, cache_ttl=TTL, max_stale=MAX_STALE
    )
    walks.finish(which=1)
    assert (walks.walked, other.walked, walks.status.state) == ([], ["acct"], "fresh")
    walks.finish(ServerError("down"))
    assert walks.status.state == "fresh"


def test_data_that_is_dropped_leaves_failures_and_their_back_off():
    walks = failing()
    walks.refresher.drop_data()
    status = walks.status
    assert (status.state, status.up, status.snapshot, status.last_failure.reason) == (
        "cold",
        False,
        None,
        "server_error",
    )
    assert walks.scrape() == []


def test_how_long_data_counts_changes_at_once_but_what_has_expired_stays_so():
    walks = Walks("a", "b")
    walks.refresher.start()
    walks.finish()
    walks.clock.tick(TTL)
    walks.finish()
    walks.reload("a", "b", cache_ttl=TTL + 100, max_stale=0.0)
    assert [status.state for status in walks.refresher.statuses()] == ["fresh", "fresh"]
    walks.clock.tick(150)
    walks.reload("a", "b", cache_ttl=TTL, max_stale=MAX_STALE)
    assert [status.state for status in walks.refresher.statuses()] == ["expired", "fresh"]


def test_a_scrape_of_one_space_begins_and_counts_that_one_alone():
    walks = Walks("acct", "other")
    (refresh,) = walks.refresher.scrape(10.0, "other")
    assert [future for future, _ in walks.queue] == [refresh]
    assert {space: counts.requests for space, counts in walks.refresher.cache_counts().items()} == {
        "acct": 0,
        "other": 1,
    }
    walks.finish()
    assert walks.walked == ["other"]
    (status,) = walks.refresher.statuses("other")
    assert (status.space, status.state) == ("other", "fresh")
    assert ("other" in walks.refresher, "acct/org" in walks.refresher) == (True, False)
    assert walks.refresher.scrape(10.0, "acct/org") == []


def test_only_the_space_that_is_scraped_is_told_to_be_expired():
    walks = Walks("acct", "other")
    walks.scrape()
    walks.finish()
    walks.finish()
    walks.clock.tick(MAX_STALE + 1)
    walks.told.clear()
    walks.refresher.scrape(10.0, "other")
    assert [(status.space, status.state) for status in walks.told] == [("other", "expired")]


def test_a_refresh_runs_from_its_start_to_its_end_well_or_not():
    walks = Walks("acct", "other")
    assert not walks.refresher.refreshing()
    walks.refresher.scrape(10.0, "other")
    assert walks.refresher.refreshing()
    walks.finish(ServerError("down"))
    assert not walks.refresher.refreshing()


def test_a_refresh_is_queued_by_the_name_of_its_space():
    walks = Walks("acct", "acct/org")
    walks.refresher.start()
    walks.reload("acct", "acct/new", reset={"acct"})
    assert walks.queued == ["acct", "acct/org", "acct", "acct/new"]


def test_a_walk_is_cancelled_by_the_event_that_it_was_given():
    walks = Walks("acct", "acct/org")
    walks.refresher.start()
    seen = []
    walks.meanwhile = lambda: (walks.reload("acct/org"), seen.append([event.is_set() for event in walks.events]))
    walks.finish()
    assert seen == [[True]]
    walks.meanwhile = lambda: None
    walks.finish()
    assert [event.is_set() for event in walks.events] == [True, False]
