"""How many requests are let through, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Stopped
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import RateLimitedError, RequestTimeout
from exporter.harness.throttle import Throttle
from exporter.rates import Rate
from tests.support.clocks import FakeClock

FOREVER = 1e12


@given(
    st.integers(1, 10),
    st.sampled_from([1.0, 60.0]),
    st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0, 100.0]), max_size=60),
)
def test_no_window_has_more_than_it_may_and_none_waits_without_need(requests, seconds, pauses):
    clock = FakeClock()
    throttle = Throttle(Rate(requests, seconds), clock, ApiCounters())
    sent = []
    for pause in pauses:
        clock.tick(pause)
        arrived = clock.monotonic()
        throttle.acquire(FOREVER)
        sent.append(clock.monotonic())
        waited = sent[-1] - arrived
        assert not waited or sent[-1] == pytest.approx(sent[-1 - requests] + seconds)
    for earlier, later in zip(sent, sent[requests:], strict=False):
        assert later - earlier >= seconds - 1e-6


def test_without_a_rate_nothing_waits():
    clock = FakeClock()
    throttle = Throttle(None, clock, ApiCounters())
    for _ in range(1000):
        throttle.acquire(FOREVER)
    assert clock.waits == []


def test_a_hold_stops_everything_for_its_time_and_is_never_made_shorter():
    clock, counters = FakeClock(), ApiCounters()
    throttle = Throttle(None, clock, counters)
    throttle.hold(30.0)
    throttle.hold(1.0)
    throttle.acquire(FOREVER)
    assert sum(clock.waits) == 30.0
    assert counters.read().throttle_wait == 30.0


def test_a_turn_after_the_deadline_is_not_waited_for():
    clock = FakeClock()
    throttle = Throttle(Rate(1, 60.0), clock, ApiCounters())
    throttle.acquire(FOREVER)
    with pytest.raises(RequestTimeout, match="rate_limit allows") as caught:
        throttle.acquire(clock.monotonic() + 59)
    assert clock.waits == []
    assert "rate_limit" in caught.value.hint
    assert caught.value.retry_after is None


def test_a_hold_beyond_the_deadline_is_the_servers_wish_and_not_a_fault_of_the_way_to_it():
    clock = FakeClock()
    throttle = Throttle(Rate(1, 10.0), clock, ApiCounters())
    throttle.acquire(FOREVER)
    throttle.hold(60.0)
    clock.tick(20.0)
    with pytest.raises(RequestTimeout, match="asked for a pause") as caught:
        throttle.acquire(clock.monotonic() + 39)
    assert (caught.value.hint, caught.value.retry_after) == (RateLimitedError.hint, 40.0)
    throttle.acquire(clock.monotonic() + 40)
    assert sum(clock.waits) == 40.0


def test_nothing_waits_for_the_end_of_a_long_hold():
    """A request that has time for it would be one that nobody hears of."""
    clock = FakeClock()
    throttle = Throttle(None, clock, ApiCounters())
    throttle.hold(100.0)
    for passed, left in ((0.0, 100.0), (39.0, 61.0)):
        clock.tick(passed)
        with pytest.raises(RateLimitedError) as caught:
            throttle.acquire(FOREVER)
        assert caught.value.retry_after == left
    assert clock.waits == []
    clock.tick(1.0)
    throttle.acquire(FOREVER)
    assert sum(clock.waits) == 60.0


@pytest.mark.parametrize("before", [2, 3, 100])
def test_what_was_sent_counts_under_another_rate_too(before):
    clock = FakeClock()
    throttle = Throttle(Rate(before, 60.0), clock, ApiCounters())
    throttle.acquire(FOREVER)
    throttle.acquire(FOREVER)
    throttle.limit(Rate(3, 60.0))
    throttle.acquire(FOREVER)
    throttle.acquire(FOREVER)
    assert sum(clock.waits) == 60.0


class Interrupted(FakeClock):
    """Something happens as soon as 10 s were waited for, in the midst of a longer wait too."""

    def __init__(self, happens):
        super().__init__()
        self._happens = happens

    def wait(self, seconds):
        before = sum(self.waits)
        super().wait(seconds)
        if before < 10.0 <= sum(self.waits):
            self._happens()


@pytest.mark.parametrize("rate", [Rate(2, 3600.0), Rate(1, 5.0), None])
def test_a_higher_rate_is_for_what_waits_already(rate):
    clock, counters = Interrupted(lambda: throttle.limit(rate)), ApiCounters()
    throttle = Throttle(Rate(1, 3600.0), clock, counters)
    throttle.acquire(FOREVER)
    throttle.acquire(FOREVER)
    assert sum(clock.waits) == 10.0
    assert counters.read().throttle_wait == 10.0


def test_what_waits_looks_again_at_least_once_a_second_and_not_more_often_than_it_has_to():
    clock = FakeClock()
    throttle = Throttle(None, clock, ApiCounters())
    throttle.hold(2.5)
    throttle.acquire(FOREVER)
    assert clock.waits == [1.0, 1.0, 0.5]


def test_what_waits_gives_up_as_soon_as_its_turn_is_put_off_beyond_its_deadline():
    clock = Interrupted(lambda: throttle.hold(900.0))
    throttle = Throttle(Rate(1, 60.0), clock, ApiCounters())
    throttle.acquire(FOREVER)
    with pytest.raises(RateLimitedError, match="asked for a pause") as caught:
        throttle.acquire(clock.monotonic() + 60)
    assert sum(clock.waits) == 10.0
    assert caught.value.retry_after == 900.0


def test_only_what_was_waited_counts_where_the_process_is_stopped_meanwhile():
    def stop():
        clock.stopped = True

    clock, counters = Interrupted(stop), ApiCounters()
    throttle = Throttle(Rate(1, 3600.0), clock, counters)
    throttle.acquire(FOREVER)
    with pytest.raises(Stopped):
        throttle.acquire(FOREVER)
    assert counters.read().throttle_wait == 10.0
