"""Registries and violations are read completely, and equal a plain count, whatever the listing says of itself."""

from collections import Counter, defaultdict
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.harness.errors import BadShapeError, TooLargeError
from exporter.harness.registries import RegistriesListing
from exporter.harness.violations import ViolationsListing
from exporter.inventory import registries, violations
from exporter.inventory.registries import Place, Registries, read_registries
from exporter.inventory.snapshot import OTHERS, RegistryKey
from exporter.inventory.sources import Reading
from exporter.inventory.violations import NamedViolation, Verdict, read_violations
from exporter.labels import OTHER
from exporter.scopes import is_below
from tests.support.sources import ABSENT, NOW, passing, registries_body, registry_row, violation_row, violations_body

NPM0 = RegistryKey("registry-0", "NPM")


class Listed:
    """A listing that is served page by page, and counts what it is asked for."""

    def __init__(self, body_of, rows, count=len, serve_size=int, **fields):
        self.body_of, self.rows, self.count, self.fields = body_of, rows, count, fields
        self.serve_size = serve_size
        self.asked = []

    def __call__(self, source, page, size):
        self.asked.append((source, page))
        size = self.serve_size(size)
        rows = self.rows[page * size : (page + 1) * size]
        count = self.count(self.rows)
        counted = {} if count is ABSENT else {"itemCount": count}
        return self.body_of(rows, **counted, **self.fields)


SPACES = ("acct", "acct/org", "acct/org/p", "acct/org/p0", "acct/org/p1", "acct/org/p2")


def registries_of(rows, *, space="acct", descendants=True, size=100, **listed):
    """Read registries from a listing of these rows."""
    ask = Listed(registries_body, rows, **listed)
    return read_registries(ask, space, NOW, descendants=descendants, size=size), ask


def violations_of(
    rows, *, space="acct", descendants=True, known=(), filters=None, findings_limit=500, last=None, size=100, **listed
):
    """Read violations from a listing of these rows, placed by known registries."""
    registries, _ = registries_of(known, space=space, descendants=descendants)
    ask = Listed(violations_body, rows, **listed)
    found = read_violations(
        ask, registries, NOW, filters=filters or passing(*SPACES), findings_limit=findings_limit, last=last, size=size
    )
    return found, ask


def totals_of(violations, space="acct/org/p0", key=NPM0):
    return violations.spaces[space].registries[key]


# Pages


@pytest.mark.parametrize(
    ("number", "listed", "pages", "complete"),
    [
        (0, {}, 1, True),
        (7, {}, 1, True),
        (7, {"count": lambda _: 0}, 1, True),
        (7, {"count": lambda _: 2}, 1, True),
        (7, {"count": lambda _: 9}, 2, True),
        (7, {"count": lambda _: ABSENT}, 2, True),
        (7, {"count": lambda _: ABSENT, "pageSize": 10}, 1, True),
        (20, {}, 3, True),
        (25, {}, 3, True),
        (25, {"serve_size": lambda size: size // 2}, 5, True),
        (25, {"serve_size": lambda size: size // 2, "pageSize": 5}, 6, True),
        (25, {"serve_size": lambda size: size // 2, "count": lambda _: ABSENT, "pageSize": 5}, 6, True),
        (25, {"count": lambda _: "x"}, 4, True),
    ],
)
def test_the_pages_themselves_end_a_listing(number, listed, pages, complete):
    registries, ask = registries_of([registry_row(i) for i in range(number)], size=10, **listed)
    assert sum(map(len, registries.spaces.values())) == number
    assert [page for _, page in ask.asked] == list(range(pages))
    assert registries.reading.complete is complete


def test_a_server_that_repeats_a_page_is_survived_in_three_surplus_pages():
    rows = [registry_row(i) for i in range(10)] * 50
    registries, ask = registries_of(rows, size=10, count=lambda _: 500)
    assert len(ask.asked) == 4
    assert registries.reading == Reading(4, 10, 30, 500, complete=False)


def test_a_server_that_counts_pages_from_one_is_read_whole():
    rows = [registry_row(i) for i in range(25)]
    registries, _ = registries_of(rows[:10] + rows, size=10, count=lambda _: 25)
    assert (registries.reading.rows, registries.reading.complete) == (25, True)


def test_a_row_that_was_left_out_for_a_repeated_one_is_missing():
    rows = [registry_row(i) for i in range(14)]
    registries, ask = registries_of([*rows, rows[0]], size=10)
    assert (registries.reading.rows, registries.reading.reported) == (14, 15)
    assert (registries.reading.complete, len(ask.asked)) == (False, 3)


def test_a_count_that_fell_leaves_room_for_a_missing_row():
    counts = iter([15, 14])
    registries, _ = registries_of([registry_row(i) for i in range(14)], size=10, count=lambda _: next(counts))
    assert not registries.reading.complete


def test_a_listing_of_odd_rows_is_refused():
    with pytest.raises(BadShapeError, match="101 of 101"):
        registries_of([registry_row(i, identifier="") for i in range(101)], size=200)


def test_a_listing_with_few_odd_rows_among_all_that_were_sent_is_not_refused():
    rows = [registry_row(i) for i in range(9_900)]
    rows = [*rows, *rows[-150:], *(registry_row(i, identifier="") for i in range(101))]
    registries, _ = registries_of(rows, size=2_000)
    assert (registries.reading.rows, registries.reading.duplicates, registries.reading.rejected.rows) == (
        9_900,
        150,
        101,
    )


# Registries


@pytest.mark.parametrize("descendants", [True, False])
def test_registries_are_asked_of_a_space(descendants):
    _, ask = registries_of([], descendants=descendants)
    assert ask.asked[0][0] == RegistriesListing("acct", descendants=descendants)


def test_a_registry_is_in_the_space_of_its_path_and_an_empty_one_too():
    registries, _ = registries_of([registry_row(0, artifactsCount=ABSENT, isPublic=True)])
    [registry] = registries.spaces["acct/org/p0"].values()
    assert (registry.packages, registry.size, registry.public, registry.uuid) == (0, 1536, True, "uuid-0")
    assert registries.found == {"acct", "acct/org/p0"}
    assert registries.by_uuid == {"uuid-0": Place("acct/org/p0", NPM0)}


@pytest.mark.parametrize(
    ("path", "descendants", "space", "rejected", "too_deep"),
    [
        ("acct/r", True, "acct", 0, 0),
        ("ACCT/Org/r", True, "acct/Org", 0, 0),
        ("acct/o/p/q/r", True, None, 0, 1),
        ("other/o/p/q/r", True, None, 1, 0),
        ("acct2/r", True, None, 1, 0),
        ("acct/b d/r", True, None, 1, 0),
        ("acct/b d/p/r", True, None, 1, 0),
        (ABSENT, True, None, 1, 0),
        (ABSENT, False, "acct", 0, 0),
        ("Acct/r", False, "acct", 0, 0),
        ("acct/o/r", False, None, 1, 0),
        ("acct/o/p/q/r", False, None, 1, 0),
    ],
)
def test_a_registry_outside_the_space_that_was_asked_is_left_out(path, descendants, space, rejected, too_deep):
    good = "acct/good" if descendants else "acct"
    rows = [*(registry_row(number, path=path) for number in range(2)), registry_row(2, path=f"{good}/r")]
    registries, _ = registries_of(rows, descendants=descendants)
    assert list(registries.spaces) == sorted({space or good, good})
    assert (registries.reading.rejected.rows, registries.too_deep) == (2 * rejected, 2 * too_deep)
    assert registries.reading.complete


def test_spaces_that_differ_in_case_only_are_one():
    rows = [registry_row(i, path=path) for i, path in enumerate(("acct/org/r", "ACCT/ORG/r", "acct/Org/r"))]
    assert [*registries_of(rows)[0].spaces] == [*registries_of(rows[::-1])[0].spaces] == ["acct/ORG"]


def test_a_deleted_registry_does_not_count():
    registries, _ = registries_of([registry_row(deletedAt="1780000000000")])
    assert (registries.spaces, registries.reading.rows) == ({}, 1)


@pytest.mark.parametrize(
    ("values", "together"),
    [((1, 2), 3), ((None, 2), 2), ((2, None), 2), ((None, None), None)],
)
@pytest.mark.parametrize(("flags", "public"), [((True, False), True), ((None, None), None), ((None, False), False)])
def test_registries_with_equal_labels_are_one(values, together, flags, public):
    rows = [
        registry_row(identifier=f"r{unfit}", path="acct/r", artifactsCount=value, registrySize=value, isPublic=flag)
        for unfit, value, flag in zip("\n\t", values, flags, strict=True)
    ]
    [registry] = registries_of(rows)[0].spaces["acct"].values()
    assert (registry.packages, registry.size, registry.public) == (together, together, public)


def test_a_registry_without_type_and_uuid_is_listed():
    registries, _ = registries_of([registry_row(1, uuid=ABSENT, type=ABSENT)])
    [registry] = registries.spaces["acct/org/p1"].values()
    assert (registry.registry_type, registry.uuid, registries.by_uuid) == ("", "", {})


def test_texts_of_a_registry_are_made_label_values():
    row = registry_row(packageType="npm")
    registries = read_registries(Listed(registries_body, [row]), "acct", NOW, descendants=True, label=str.upper)
    [(key, registry)] = registries.spaces["acct/org/p0"].items()
    assert (key, registry.uuid) == (RegistryKey("REGISTRY-0", "NPM"), "UUID-0")
    refused = Listed(lambda *_, **__: b'{"status":"ERROR","message":"secret"}', [])
    with pytest.raises(BadShapeError, match="SECRET"):
        read_registries(refused, "acct", NOW, label=str.upper)


def test_a_uuid_that_several_registries_have_places_nothing():
    registries, _ = registries_of([registry_row(1, uuid="same"), registry_row(2, uuid="same"), registry_row(3)])
    assert [*registries.by_uuid] == ["uuid-3"]


def test_firewall_modes_are_asked_of_upstream_registries_only():
    registries, _ = registries_of([registry_row(0), registry_row(1, type="VIRTUAL"), registry_row(2, type="upstream")])
    (place, source), (other, _) = registries.upstream()
    assert (source.space, source.identifier, place) == ("acct/org/p0", "registry-0", Place("acct/org/p0", NPM0))
    known = registries.with_firewall_modes({place: "BLOCK"}).with_firewall_modes({other: "WARN"})
    modes = [registry.firewall_mode for found in known.spaces.values() for registry in found.values()]
    assert modes == ["BLOCK", None, "WARN"]


@pytest.mark.parametrize(
    ("space", "below"), [("a", True), ("A/b", True), ("a/b/c", True), ("ab", False), ("", False), ("b/a", False)]
)
def test_a_space_lies_below_another_one_by_whole_segments(space, below):
    assert is_below(space, "a") is below


# Violations


def test_a_violation_is_counted_by_status_exemption_and_category():
    rows = [
        violation_row(0, registryName="registry-0", securityViolationCategories=["Security", "License"]),
        violation_row(3, scanStatus="WARN", exemptionStatus=ABSENT, securityViolationCategories=None),
        violation_row(6, scanStatus=ABSENT, lastEvaluatedAt=ABSENT),
    ]
    totals = totals_of(violations_of(rows)[0])
    assert totals.violations == {
        Verdict("BLOCKED", "PENDING"): 1, Verdict("WARN", "NONE"): 1, Verdict("UNKNOWN", "PENDING"): 1,
        Verdict("BLOCKED", "NONE"): 0,
    }  # fmt: skip
    assert totals.categories == {"Security": 2, "License": 1}
    assert totals.newest == NOW


@pytest.mark.parametrize(("space", "descendants"), [("acct", True), ("acct/org/p0", False)])
def test_violations_are_asked_of_the_space_of_the_registries(space, descendants):
    _, ask = violations_of([], space=space, descendants=descendants)
    assert ask.asked[0][0] == ViolationsListing(space, descendants=descendants)


def test_texts_of_a_violation_are_made_label_values():
    registries, _ = registries_of([])
    row = violation_row(registryId="?", packageType="npm", exemptionStatus="pending")
    found = read_violations(
        Listed(violations_body, [row]), registries, NOW, filters=passing(*SPACES), findings_limit=1, label=str.upper
    )
    [named] = found.spaces["acct/org/p0"].named
    assert (named.key, named.artifact) == (RegistryKey("REGISTRY-0", "NPM"), "PACKAGE-0")
    assert named.verdict == Verdict("BLOCKED", "PENDING")
    refused = Listed(lambda *_, **__: b'{"error":{"message":"secret"}}', [])
    with pytest.raises(BadShapeError, match="SECRET"):
        read_violations(refused, registries, NOW, filters={}, findings_limit=1, label=str.upper)


def test_a_violation_without_a_time_has_no_newest_one():
    assert totals_of(violations_of([violation_row(lastEvaluatedAt=ABSENT)])[0]).newest is None


@pytest.mark.parametrize(
    ("fields", "descendants", "space", "place"),
    [
        ({"registryId": "uuid-1"}, True, "acct", "acct/org/p1"),
        ({"registryId": "uuid-1", "registryName": ABSENT}, True, "acct", "acct/org/p1"),
        ({"registryId": "?", "registryName": ABSENT}, True, "acct", None),
        ({"registryId": "?"}, True, "acct", "acct/org/p0"),
        ({"registryId": ABSENT, "RegistryProjectId": "P1"}, True, "acct", "acct/org/p1"),
        ({"registryId": "?", "RegistryProjectId": ABSENT}, True, "acct", "acct/org"),
        ({"registryId": "?", "RegistryProjectId": "a b"}, True, "acct", None),
        ({"registryId": "?", "RegistryProjectId": ABSENT, "RegistryOrgId": ABSENT}, True, "acct", None),
        ({"registryId": "?", "RegistryProjectId": ABSENT, "RegistryOrgId": ABSENT}, False, "acct", "acct"),
        ({"registryId": "?"}, False, "acct", None),
        ({"registryId": "?"}, False, "acct/org/p0", "acct/org/p0"),
        ({"registryId": "?", "RegistryProjectId": "p3"}, True, "acct", None),
        ({"registryId": "?"}, True, "acct/other", None),
        ({"registryId": "uuid-4"}, True, "acct", None),
    ],
)
def test_a_violation_is_placed_by_its_registry_and_then_by_organization_and_project(fields, descendants, space, place):
    known = [registry_row(1), registry_row(4, path="acct/gone/r")] if descendants and space == "acct" else []
    rows = [violation_row(0, **fields), violation_row(3, **fields)]
    violations, _ = violations_of(rows, known=known, descendants=descendants, space=space)
    assert {*violations.spaces} == set(SPACES)
    assert [name for name, found in violations.spaces.items() if found.registries] == ([place] if place else [])
    assert violations.reading.rejected.rows == 2 * (place is None)


def test_the_newest_violations_are_named_up_to_the_limit():
    rows = [violation_row(number * 3) for number in range(50)]
    rows[7]["lastEvaluatedAt"] = str(int(NOW * 1000) + 1000)
    violations, _ = violations_of(rows, findings_limit=4)
    found = violations.spaces["acct/org/p0"]
    assert [of.artifact for of in found.named] == ["package-21", "package-0", "package-3", "package-6"]
    assert found.dropped == 46
    assert violations_of(rows)[0].spaces["acct/org/p0"].dropped == 0
    verdict = Verdict("BLOCKED", "PENDING")
    assert found.named[1] == NamedViolation(
        NPM0, "package-0", "1.0.0", verdict, "Security", "policy", "pkg:npm/package-0@1.0.0"
    )


def test_a_named_violation_has_all_its_categories_and_policy_sets_and_nothing_made_up():
    sets = [{"policySetName": name, "policySetRef": name} for name in ("p", "q")]
    fields = {"securityViolationCategories": ["Security", "License"], "policySets": sets}
    [named] = violations_of([violation_row(version=ABSENT, purl=ABSENT, **fields)])[0].spaces["acct/org/p0"].named
    assert (named.version, named.purl, named.categories, named.policy_sets) == ("", "", "License,Security", "p,q")


def test_of_violations_of_one_time_the_same_ones_are_named_whatever_their_order():
    same = {"lastEvaluatedAt": ABSENT, "packageName": "a"}
    rows = [violation_row(3 * number, version=version, **same) for number, version in enumerate((ABSENT, "1", "2"))]
    for order in permutations(rows):
        named = violations_of(order, findings_limit=2)[0].spaces["acct/org/p0"].named
        assert [of.version for of in named] == ["", "1"]


def test_filters_apply_before_the_limit():
    """What a filter leaves out is no violation at all: it is not counted, takes no place, and is not dropped."""
    rows = [violation_row(number * 3, registryId="?", registryName=f"r{number % 2}") for number in range(10)]
    filters = passing(*SPACES) | {"acct/org/p0": lambda key: key.registry == "r1"}
    found = violations_of(rows, filters=filters, findings_limit=4)[0].spaces["acct/org/p0"]
    assert {key.registry for key in found.registries} == {"r1"}
    assert [of.artifact for of in found.named] == ["package-3", "package-9", "package-15", "package-21"]
    assert found.dropped == 1


def test_violations_without_end_in_sight_fill_no_memory_with_registries(monkeypatch):
    """Names of registries are taken from the rows, which may have a new one each; every violation is counted."""
    monkeypatch.setattr(violations, "_MOST_NAMES", 3)
    rows = [violation_row(3 * number, registryId="?", registryName=f"r{number // 2}") for number in range(10)]
    rows += [violation_row(99), violation_row(100), violation_row(102, registryName="registry-0", registryId="?")]
    found = violations_of(rows, known=[registry_row(0), registry_row(1)])[0].spaces
    counted = {key.registry: sum(of.violations.values()) for key, of in found["acct/org/p0"].registries.items()}
    assert counted == {"r0": 2, "r1": 2, "r2": 2, OTHER: 4, "registry-0": 2}
    assert [of.key.registry for of in found["acct/org/p0"].named[:10]] == [row["registryName"] for row in rows[:10]]
    # Other spaces do not notice, nor do registries that are listed.
    assert {key.registry for key in found["acct/org/p1"].registries} == {"registry-1"}


def test_a_listing_of_violations_without_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(violations, "_MOST_VIOLATIONS", 20)
    assert violations_of([violation_row(number) for number in range(20)])[0].reading.rows == 20
    with pytest.raises(TooLargeError, match="more than 20 violations") as refused:
        violations_of([violation_row(number) for number in range(21)])
    assert "sources" in refused.value.hint


def test_none_is_named_if_the_limit_is_zero():
    found = violations_of([violation_row(3 * number) for number in range(5)], findings_limit=0)[0].spaces["acct/org/p0"]
    assert (found.named, found.dropped) == ((), 5)


def test_a_violation_is_one_by_its_id_and_without_one_by_its_names():
    rows = [violation_row(0), violation_row(3, id="id-0"), violation_row(6, id=ABSENT), violation_row(6, id=ABSENT)]
    violations, _ = violations_of(rows)
    assert (violations.reading.rows, violations.reading.duplicates) == (2, 2)


def test_named_violations_with_equal_labels_are_one():
    violations, _ = violations_of([violation_row(0), violation_row(0, id="other")])
    assert len(violations.spaces["acct/org/p0"].named) == 1
    assert totals_of(violations).violations[Verdict("BLOCKED", "PENDING")] == 2


def test_the_most_frequent_labels_are_kept_over_all_that_they_go_with():
    """By the number of their violations, not of those that share the other label, too."""
    pairs = [("z-status", f"e{n:02}") for n in range(20)] + [(f"s{n:02}", "z-exemption") for n in range(20)]
    rows = [violation_row(3 * n, scanStatus=s, exemptionStatus=e) for n, (s, e) in enumerate([*pairs, *pairs[:1]])]
    counted = totals_of(violations_of(rows)[0]).violations
    assert {"z-status", "z-exemption"} <= {text for verdict in counted for text in verdict}


def test_labels_over_the_limit_are_added_up():
    rows = [
        violation_row(number, registryName=f"r{min(number, 3)}", RegistryProjectId="p", registryId="?",
                      exemptionStatus=f"e{number:02}", scanStatus=f"s{number:02}",
                      securityViolationCategories=[f"c{number:02}"])
        for number in range(40)
    ]  # fmt: skip
    violations, _ = violations_of(rows)
    totals = violations.spaces["acct/org/p"].limited([RegistryKey(f"r{number}", "NPM") for number in (0, 3)]).registries
    assert [*totals] == [OTHERS, ("r0", "NPM"), ("r3", "NPM")]
    assert sum(sum(of.violations.values()) for of in totals.values()) == 40
    verdicts = {verdict for of in totals.values() for verdict in of.violations}
    assert OTHER in {verdict.scan_status for verdict in verdicts} & {verdict.exemption for verdict in verdicts}
    assert len({verdict.scan_status for verdict in verdicts}) == 19  # BLOCKED and WARN are present at 0
    assert sum(sum(of.categories.values()) for of in totals.values()) == 40
    assert len({category for of in totals.values() for category in of.categories}) == 17


def test_an_unchanged_listing_costs_one_request():
    rows = [violation_row(number) for number in range(30)]
    first, ask = violations_of(rows, size=10)
    assert len(ask.asked) == 4
    again, ask = violations_of(rows, size=10, last=first)
    assert again is first
    assert len(ask.asked) == 1


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        (lambda rows: [violation_row(99), *rows], {}),
        (lambda rows: rows, {"meta": {"totalCount": 31}}),
        (lambda rows: [rows[0] | {"exemptionStatus": "APPROVED"}, *rows[1:]], {}),
    ],
)
def test_a_change_of_the_first_page_or_of_meta_is_read_whole(changed, fields):
    rows = [violation_row(number) for number in range(30)]
    first, _ = violations_of(rows, size=10, meta={"totalCount": 30})
    _, ask = violations_of(changed(rows), size=10, last=first, **({"meta": {"totalCount": 30}} | fields))
    assert len(ask.asked) == 4


# Any listing

COUNTS = st.sampled_from([len, lambda _: 0, lambda _: ABSENT, lambda rows: len(rows) // 2, lambda _: -1])
SIZES = st.sampled_from([0, 1, 99, 100, 101, 250, 5_000])
PICKS = st.lists(st.integers(0, 2**30), min_size=8, max_size=8)


def varied(row_of, odd, number, picks):
    """Return that many rows, some of them odd or repeated."""
    rows = []
    for place in range(number):
        pick = picks[place % 8] ^ (place * 2_654_435_761)
        name, values = [*odd.items()][pick % len(odd)]
        fields = {name: values[pick // 7 % len(values)]} if pick % 3 == 0 and place % 50 else {}
        rows.append(rows[pick % place] if place and pick % 11 == 0 else row_of(place, **fields))
    return rows


ODD_REGISTRY = {
    "packageType": (ABSENT, None, "", "NEW"),
    "artifactsCount": (ABSENT, -1, "7"),
    "registrySize": (ABSENT, "2.00MB", "big"),
    "type": (ABSENT, "NEW", "VIRTUAL"),
    "path": ("acct/r", "ACCT/ORG/P0/r", "acct/org/p1/x"),
    "uuid": (ABSENT, "", "same"),
    "deletedAt": ("1780000000000", "0", None),
}
ODD_VIOLATION = {
    "id": (ABSENT, 7, "same"),
    "packageType": (ABSENT, None, "NEW"),
    "version": (ABSENT, "2"),
    "RegistryProjectId": ("P1", "p2"),
    "scanStatus": ("WARN", ABSENT, "NEW"),
    "exemptionStatus": (ABSENT, "APPROVED", ""),
    "securityViolationCategories": (ABSENT, ["License", "Security"], "x", []),
    "lastEvaluatedAt": (ABSENT, "0", 1_780_000_000_000),
    "policySets": (None, [7], [{}]),
}


@settings(max_examples=30)
@given(number=SIZES, picks=PICKS, count=COUNTS)
def test_registries_equal_a_plain_count(number, picks, count):
    rows = varied(registry_row, ODD_REGISTRY, number, picks)
    registries, ask = registries_of(rows, count=count)
    expected, packages, seen = defaultdict(set), Counter(), set()
    for row in rows:
        space = row["path"].rpartition("/")[0].lower()
        package_type = row.get("packageType") or "UNKNOWN"
        if (space, row["identifier"], package_type) in seen:
            continue
        seen.add((space, row["identifier"], package_type))
        if row.get("deletedAt") != "1780000000000":
            expected[space].add((row["identifier"], package_type))
            packages[space] += max(0, int(row.get("artifactsCount", 0)))
    assert {space.lower(): {*found} for space, found in registries.spaces.items()} == expected
    counted = {
        space.lower(): sum(of.packages or 0 for of in found.values()) for space, found in registries.spaces.items()
    }
    assert counted == {space: packages[space] for space in expected}
    assert len(ask.asked) <= len(rows) // 100 + 2


@settings(max_examples=30)
@given(number=SIZES, picks=PICKS, count=COUNTS)
def test_violations_equal_a_plain_count(number, picks, count):
    rows = varied(violation_row, ODD_VIOLATION, number, picks)
    violations, ask = violations_of(rows, count=count, findings_limit=10)
    expected, categories, seen = Counter(), Counter(), set()
    for row in rows:
        same = str(row["id"]) if "id" in row else (row["packageName"], row.get("version"), row.get("packageType"),
                                                   row["RegistryProjectId"])  # fmt: skip
        if same in seen:
            continue
        seen.add(same)
        place = "acct/org/" + row["RegistryProjectId"].lower(), row["registryName"], row.get("packageType") or "UNKNOWN"
        verdict = row.get("scanStatus", "UNKNOWN"), row.get("exemptionStatus") or "NONE"
        expected[place, verdict] += 1
        listed = row.get("securityViolationCategories")
        for category in listed if isinstance(listed, list) else ():
            categories[place, category] += 1
    counted, by_category = Counter(), Counter()
    for space, found in violations.spaces.items():
        for key, totals in found.registries.items():
            place = (space.lower(), *key)
            counted.update({(place, verdict): number for verdict, number in totals.violations.items()})
            by_category.update({(place, category): number for category, number in totals.categories.items()})
        assert len(found.named) <= 10
    assert +counted == expected
    assert by_category == categories
    assert sum(found.dropped for found in violations.spaces.values()) >= expected.total() - 10 * len(violations.spaces)
    assert len(ask.asked) <= len(rows) // 100 + 2


def test_a_result_of_its_own_has_no_uuids():
    assert Registries("acct", descendants=False, spaces={}, reading=Reading()).by_uuid == {}


def test_a_listing_of_registries_without_end_is_refused_before_it_fills_the_memory():
    def ask(_source, page, size):
        return registries_body([registry_row(page * size + number) for number in range(size)])

    with pytest.raises(TooLargeError, match="more than 20,000 registries"):
        read_registries(ask, "acct", NOW, descendants=True)


def test_as_many_registries_as_may_be_are_read_and_not_one_more(monkeypatch):
    monkeypatch.setattr(registries, "_MOST_REGISTRIES", 20)
    assert registries_of([registry_row(number) for number in range(20)])[0].reading.rows == 20
    with pytest.raises(TooLargeError, match="more than 20 registries") as refused:
        registries_of([registry_row(number) for number in range(21)])
    assert "spaces" in refused.value.hint


def test_registries_of_which_none_names_its_space_are_another_shape():
    """An account whose spaces are not seen must not look like one without any."""
    with pytest.raises(BadShapeError, match="no registry names its space"):
        registries_of([registry_row(path=ABSENT), registry_row(1, path="other/r")])
