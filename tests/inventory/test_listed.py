"""Lists of a space: one choice of registries for artifacts, registries and violations."""

from collections import Counter
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from exporter.inventory.listed import lists_of
from exporter.inventory.registries import Registry
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.violations import SpaceViolations, Verdict, ViolationTotals

BLOCKED = Verdict("BLOCKED", "NONE")
KEYS = [OTHERS, *(RegistryKey(f"r{number}", kind) for number in range(8) for kind in ("NPM", "MAVEN"))]
NUMBERS = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9))


def registry(packages):
    return Registry("r", "UPSTREAM", "u", public=False, packages=packages, size=None, firewall_mode="BLOCK")


def lists(packages, violated, first=(), limit=500, passes=lambda _: True):
    totals = {key: ViolationTotals({BLOCKED: number}, {"Security": number}, None) for key, number in violated.items()}
    registries = {key: registry(number) for key, number in packages.items()}
    return lists_of(registries, SpaceViolations(totals, (), 0), passes=passes, first=first, limit=limit)


@given(packages=NUMBERS, violated=NUMBERS, first=st.sets(st.sampled_from(KEYS)), limit=st.integers(0, 20))
def test_all_listings_of_a_space_name_the_same_registries(packages, violated, first, limit):
    """Those with series for artifacts come first, the limit holds for all listings together, and every sum stays."""
    listed = lists(packages, violated, first, limit)
    named = ({*listed.registries} | {*listed.violations.registries}) - {OTHERS}
    known = ({*packages} | {*violated}) - {OTHERS}
    assert first & known - {OTHERS} <= named
    assert len(named | first - {OTHERS}) <= max(limit, len(first - {OTHERS}))
    for key in named:
        assert (key in listed.registries, key in listed.violations.registries) == (key in packages, key in violated)
    assert listed.dropped == len(known - named) + (OTHERS in {*packages} | {*violated})
    assert sum(of.packages for of in listed.registries.values()) == sum(packages.values())
    counted = reduce(
        Counter.__add__, map(Counter, (of.violations for of in listed.violations.registries.values())), Counter()
    )
    assert counted[BLOCKED] == sum(violated.values())


def test_the_largest_registries_follow_those_of_the_artifacts():
    a, b, c, d = (RegistryKey(name, "NPM") for name in "abcd")
    listed = lists({a: 1, b: 5, c: 9}, {a: 1, d: 99}, first=[a, OTHERS], limit=2)
    assert [*listed.registries] == [OTHERS, a, c]
    assert [*listed.violations.registries] == [OTHERS, a]


def test_registries_that_are_empty_or_have_violations_only_follow_by_name():
    a, b, c = (RegistryKey(name, "NPM") for name in "abc")
    for packages, violated, first in (({b: 0}, {c: 9}, b), ({b: None}, {a: 9}, a)):
        listed = lists(packages, violated, limit=1)
        assert {*listed.registries, *listed.violations.registries} == {first, OTHERS}


def test_the_registries_over_the_limit_have_no_mode_and_no_type():
    """They differ, so that one of them would be a lie."""
    (others,) = lists({RegistryKey("a", "NPM"): 1, RegistryKey("b", "NPM"): 2}, {}, limit=0).registries.values()
    assert (others.packages, others.registry_type, others.uuid, others.firewall_mode) == (3, "", "", None)


def test_filters_leave_registries_out_before_the_limit():
    a, b = RegistryKey("a", "NPM"), RegistryKey("b", "NPM")
    assert [*lists({a: 1, b: 2}, {}, limit=1, passes=lambda key: key == a).registries] == [a]


def test_registries_are_listed_while_violations_are_not_known():
    key = RegistryKey("a", "NPM")
    listed = lists_of({key: registry(1)}, None, passes=lambda _: True, first=(), limit=1)
    assert ([*listed.registries], listed.violations, listed.dropped) == ([key], None, 0)


def test_the_violations_over_the_limit_keep_the_newest_time():
    totals = {
        RegistryKey(name, "NPM"): ViolationTotals({BLOCKED: 0}, {}, time)
        for name, time in zip("abcd", (None, 5, 7, None), strict=True)
    }
    listed = lists_of({}, SpaceViolations(totals, (), 0), passes=lambda _: True, first=(), limit=0)
    assert listed.violations.registries == {OTHERS: ViolationTotals({BLOCKED: 0}, {}, 7)}
