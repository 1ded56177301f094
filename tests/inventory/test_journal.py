"""What the log tells of spaces: one line for each change, none while nothing changes."""

from dataclasses import replace
from itertools import pairwise

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from exporter.harness.envelope import Rejected
from exporter.harness.errors import REASONS
from exporter.inventory.journal import Journal, facts_of
from exporter.inventory.refresh import Failure, SpaceStatus, Status
from exporter.inventory.snapshot import Inventory, Snapshot
from tests.support.clocks import FakeClock

SNAPSHOT = Snapshot(1.0, 1.0, Inventory({}, (), 0, 7), 3, 100, 0, Rejected(), 7, complete=True)


def good(space: str = "acct") -> SpaceStatus:
    return Status(space, "fresh", SNAPSHOT, True, 2.0, {}, None)


def failed(reason: str = "auth", *, hint: str = "check api_key", traceback: str = "") -> SpaceStatus:
    failure = Failure(reason, "the server returned 401", hint, 1.0, 5.04, traceback)
    return Status("acct", "failing", SNAPSHOT, False, 2.0, {}, failure)


def expired(failure: Failure | None = None) -> SpaceStatus:
    return Status("acct", "expired", None, failure is None, 2.0, {}, failure)


class Told:
    """A journal, and the lines that it wrote."""

    def __init__(self):
        self.clock = FakeClock()
        self.journal = Journal(self.clock, facts_of)

    def __call__(self, *statuses: SpaceStatus) -> list[dict]:
        with structlog.testing.capture_logs() as lines:
            for status in statuses:
                self.journal.record(status)
        return lines


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_space_that_comes_up_is_told_once_with_what_it_holds(told):
    assert told(good(), good(), good()) == [
        {
            "log_level": "info", "event": "space is up", "space": "acct", "artifacts": 7, "findings": 0, "pages": 3,
            "complete": True, "duration": 2.0,
        }
    ]  # fmt: skip


def test_a_failure_is_told_once_with_reason_hint_and_duration(told):
    assert told(failed(), failed(), failed()) == [
        {
            "log_level": "warning", "event": "refresh failed", "space": "acct", "reason": "auth",
            "problem": "the server returned 401", "hint": "check api_key", "next_try_in": 5.0, "duration": 2.0,
        }
    ]  # fmt: skip


def test_what_there_is_not_is_left_out(told):
    (line,) = told(failed(hint=""))
    assert not {"hint", "exception"} & line.keys()


def test_a_fault_of_the_exporter_tells_where_it_happened(told):
    (line,) = told(failed("internal", traceback="  File …, line 7"))
    assert line["exception"] == "  File …, line 7"


def test_the_same_failure_is_told_again_after_ten_minutes_and_no_sooner(told):
    told(failed())
    told.clock.tick(599)
    assert told(failed()) == []
    told.clock.tick(1)
    assert len(told(failed(), failed())) == 1


def test_two_failures_in_turns_are_told_once_each(told):
    lines = told(*[failed("auth"), failed("timeout")] * 5)
    assert [line["reason"] for line in lines] == ["auth", "timeout"]


def test_a_recovery_is_told_and_so_is_the_next_failure(told):
    lines = told(good(), failed(), good(), failed())
    assert [line["event"] for line in lines] == ["space is up", "refresh failed", "space is up", "refresh failed"]


def test_data_that_expires_is_told_once_and_its_return_too(told):
    lines = told(good(), expired(), expired(), good())
    assert [line["event"] for line in lines] == ["space is up", "data is too old to be served", "space is up"]


def test_a_failure_that_was_told_is_not_told_again_when_data_expires(told):
    lines = told(failed(), expired(failed().last_failure))
    assert [line["event"] for line in lines] == ["refresh failed", "data is too old to be served"]


@pytest.mark.parametrize(("dropped", "missing"), [(0, ["one,two"]), (1, [])])
def test_registries_over_the_limit_are_not_called_missing(told, dropped, missing):
    """They are listed, but the snapshot does not name them."""
    inventory = Inventory({}, (), 0, 7, registries_dropped=dropped)
    with structlog.testing.capture_logs() as lines:
        told.journal.record_registries("acct", ["two", "one"], replace(SNAPSHOT, inventory=inventory))
    assert [line["registries"] for line in lines] == missing


def test_each_space_is_told_for_itself(told):
    assert [line["space"] for line in told(good("a"), good("b"), good("a"))] == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from(REASONS), st.floats(0, 300)), max_size=60))
def test_failures_alone_make_no_more_than_a_line_in_ten_minutes_for_each_reason(failures):
    told = Told()
    seen: dict[str, list[float]] = {}
    for reason, pause in failures:
        told.clock.tick(pause)
        if told(failed(reason)):
            seen.setdefault(reason, []).append(told.clock.monotonic())
    assert seen.keys() == {reason for reason, _ in failures}
    for times in seen.values():
        assert all(later - earlier >= 600 for earlier, later in pairwise(times))


def test_a_journal_remembers_the_spaces_that_it_was_told_of_last():
    journal = Journal(FakeClock(), facts_of, spaces=2)
    with structlog.testing.capture_logs() as lines:
        for space in ("a", "b", "a", "c", "a", "b"):
            journal.record(good(space))
    assert [line["space"] for line in lines] == ["a", "b", "c", "b"]
