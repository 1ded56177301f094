"""Firewall modes are asked for one by one: never known ones first, then those that were asked longest ago."""

import json

import pytest

from exporter.harness.errors import (
    AuthError,
    BadJsonError,
    BadShapeError,
    ClientError,
    ConnectError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RequestTimeout,
    ServerError,
)
from exporter.inventory.firewall import FirewallMode, read_firewall_modes
from exporter.inventory.registries import Place, read_registries
from exporter.inventory.snapshot import RegistryKey
from tests.support.clocks import FakeClock
from tests.support.sources import NOW, registries_body, registry_row

HOUR = 3_600.0


def place(number):
    return Place("acct", RegistryKey(f"registry-{number}", "NPM"))


class Asked:
    """Registries of an account, and what is asked of them."""

    def __init__(self, number, answers=None):
        rows = [registry_row(n, path=f"acct/registry-{n}") for n in range(number)]
        self.registries = read_registries(lambda *_: registries_body(rows), "acct", NOW, size=100)
        self.answers = answers or {}
        self.asked = []
        self.clock = FakeClock()

    def ask(self, configuration, _page, _size):
        self.asked.append(configuration.identifier)
        answer = self.answers.get(configuration.identifier, "BLOCK")
        if isinstance(answer, Exception):
            raise answer
        if answer == "FAILURE":
            return json.dumps({"status": answer, "message": "no"}).encode()
        config = {"firewallMode": answer} if answer else {}
        return json.dumps({"status": "SUCCESS", "data": {"config": config}}).encode()

    def read(self, known=None, most=100, **options):
        known, limits = {} if known is None else dict(known), {"fresh_for": HOUR, "most": most}
        return read_firewall_modes(self.ask, self.registries, known, self.clock.monotonic, **limits, **options)


def test_texts_of_the_server_are_made_into_labels():
    """They may hold the key."""
    assert [mode.mode for mode in Asked(1, {"registry-0": "Block"}).read(label=str.upper).values()] == ["BLOCK"]
    with pytest.raises(BadShapeError, match="NO"):
        Asked(1, {"registry-0": "FAILURE"}).read(label=str.upper)


def test_an_answer_that_is_a_failure_leaves_the_mode_unknown():
    modes = Asked(2, {"registry-0": "FAILURE"}).read()
    assert [(mode.mode, mode.failed) for mode in modes.values()] == [(None, True), ("BLOCK", False)]


def test_as_many_are_asked_for_as_may_be_and_the_others_next_time():
    asked = Asked(5)
    modes = asked.read(most=2)
    assert {place: mode.mode for place, mode in modes.items()} == {place(0): "BLOCK", place(1): "BLOCK"}
    modes = asked.read(modes, most=2)
    asked.clock.tick(HOUR - 1)
    asked.read(modes, most=2)
    assert asked.asked == [f"registry-{number}" for number in range(5)]


def test_one_is_asked_for_again_after_its_time_the_oldest_first():
    asked = Asked(3)
    times = {0: -HOUR, 1: 1 - HOUR, 2: -2 * HOUR}
    last = {place(n): FirewallMode("WARN", asked.clock.monotonic() + ago) for n, ago in times.items()}
    modes = asked.read(last)
    assert asked.asked == ["registry-2", "registry-0"]
    assert [modes[place(number)].mode for number in range(3)] == ["BLOCK", "WARN", "BLOCK"]


@pytest.mark.parametrize("error", [ForbiddenError("x"), NotFoundError("x"), ClientError("x")], ids=repr)
def test_a_registry_that_the_server_does_not_tell_of_has_no_mode(error):
    asked = Asked(3, {"registry-1": error, "registry-2": None})
    modes = asked.read({place(1): FirewallMode("BLOCK", -HOUR)})
    assert [modes[place(number)].mode for number in range(3)] == ["BLOCK", None, "NONE"]


@pytest.mark.parametrize(
    "error",
    [ConnectError("x"), ServerError("x", status=503), RequestTimeout("x"), BadJsonError("x"), BadShapeError("x")],
    ids=repr,
)
def test_a_registry_that_cannot_be_asked_for_keeps_its_mode_and_the_others_get_theirs(error):
    asked = Asked(4, {"registry-0": error})
    modes = asked.read({place(0): FirewallMode("WARN", -HOUR)})
    assert [modes[place(number)].mode for number in range(4)] == ["WARN", "BLOCK", "BLOCK", "BLOCK"]


@pytest.mark.parametrize("error", [ConnectError("x"), AuthError("x"), RateLimitedError("x")], ids=repr)
def test_a_server_that_fails_for_all_is_asked_three_times(error):
    asked = Asked(5, {f"registry-{number}": error for number in range(5)})
    with pytest.raises(type(error)):
        asked.read()
    assert len(asked.asked) == 3


def test_registries_that_fail_keep_no_others_waiting():
    """Those that were asked for first are asked for again after all others, although the read failed."""
    asked, known = Asked(10, {f"registry-{number}": ServerError("x", status=500) for number in range(3)}), {}

    def read():
        return read_firewall_modes(asked.ask, asked.registries, known, asked.clock.monotonic, fresh_for=HOUR, most=100)

    with pytest.raises(ServerError):
        read()
    modes = read()
    assert [modes[place(number)].mode for number in range(10)] == [None] * 3 + ["BLOCK"] * 7
    asked.answers.clear()
    assert {mode.mode for mode in read().values()} == {"BLOCK"}
    assert len(asked.asked) == 3 + 10 + 3


def test_a_server_that_begins_to_fail_is_asked_no_more_and_what_it_told_stays():
    asked = Asked(9, {f"registry-{number}": ConnectError("x") for number in range(1, 9)})
    modes = asked.read()
    assert (modes[place(0)].mode, len(asked.asked)) == ("BLOCK", 4)


def test_registries_that_are_gone_have_no_mode_any_more():
    asked = Asked(1)
    assert asked.read({place(7): FirewallMode("WARN", asked.clock.monotonic())}).keys() == {place(0)}
