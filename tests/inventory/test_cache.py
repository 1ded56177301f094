"""Snapshots over time: fresh, still served, expired."""

import pytest

from exporter.inventory.cache import SnapshotCache
from tests.support.clocks import FakeClock
from tests.support.walks import snapshot


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def cache(clock):
    return SnapshotCache(clock.monotonic, fresh_for=10.0, served_for=30.0)


def state(cache):
    return cache.is_fresh("acct"), cache.get("acct") is not None


def test_a_snapshot_is_fresh_then_served_then_gone(cache, clock):
    assert state(cache) == (False, False)
    cache.put("acct", snapshot(), clock.monotonic())
    states = []
    for _ in range(4):
        states.append(state(cache))
        clock.tick(10.0)
    assert states == [(True, True), (False, True), (False, True), (False, False)]


def test_freshness_counts_from_the_start_of_a_walk_and_serving_from_its_end(cache, clock):
    began = clock.monotonic()
    clock.tick(8.0)
    cache.put("acct", snapshot(), began)
    states = [state(cache)]
    for seconds in (2.0, 27.0, 1.0):
        clock.tick(seconds)
        states.append(state(cache))
    assert states == [(True, True), (False, True), (False, True), (False, False)]


def test_a_new_snapshot_is_fresh_again_and_others_are_left_alone(cache, clock):
    cache.put("acct", snapshot(1.0), clock.monotonic())
    cache.put("other", snapshot(2.0), clock.monotonic())
    clock.tick(29.0)
    cache.put("acct", snapshot(3.0), clock.monotonic())
    assert state(cache) == (True, True)
    assert cache.get("acct").began == 3.0
    clock.tick(1.0)
    assert cache.get("other") is None


def test_an_outdated_snapshot_is_served_and_never_fresh_again(cache, clock):
    cache.put("acct", snapshot(), clock.monotonic())
    cache.outdate("acct")
    cache.outdate("nothing")
    assert state(cache) == (False, True)
    cache.change(fresh_for=20.0, served_for=40.0)
    assert state(cache) == (False, True)
    clock.tick(40.0)
    assert state(cache) == (False, False)


def test_other_times_count_from_the_same_moment(cache, clock):
    cache.put("acct", snapshot(), clock.monotonic())
    clock.tick(15.0)
    cache.change(fresh_for=20.0, served_for=60.0)
    assert state(cache) == (True, True)
    clock.tick(10.0)
    cache.change(fresh_for=5.0, served_for=20.0)
    assert state(cache) == (False, False)


def test_what_has_expired_stays_so(cache, clock):
    cache.put("acct", snapshot(), clock.monotonic())
    clock.tick(30.0)
    cache.change(fresh_for=100.0, served_for=100.0)
    assert state(cache) == (False, False)


def test_a_dropped_snapshot_is_gone(cache, clock):
    cache.put("acct", snapshot(), clock.monotonic())
    cache.drop("acct")
    cache.drop("nothing")
    assert state(cache) == (False, False)
