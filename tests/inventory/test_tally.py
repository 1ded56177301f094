"""What the rows of a listing add up to, compared with a count that was written apart (`listings.count`)."""

import copy
import json
import random
import tracemalloc
from array import array
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.artifacts import listing
from exporter.demo.catalogue import SPACES
from exporter.harness.page import decode_page
from exporter.inventory.novelty import FirstSeen, Novelty
from exporter.inventory.snapshot import OTHERS, Cell, RegistryKey
from exporter.inventory.tally import Tally
from exporter.labels import clean
from tests.support.listings import DAY, NOW, STALE_AGES, body_of, count, counts, listings, times
from tests.support.places import PAYLOADS

WANTED = ("quarantined", "blocked")
PAYLOAD_FILES = sorted(set(PAYLOADS.glob("*.json")) - {PAYLOADS / "new_kinds_2026.json"})  # keys are not counted yet
RISKS = ("quarantined", "blocked", "warn", "unscanned", "none")


def tally(rows, now=NOW, *, wanted=WANTED, limit=500, registries=500, page_size=7, **options):
    """Return the tally of raw rows, read page by page, and what was rejected on the way."""
    limits = {"findings_limit": limit, "registries_limit": registries}
    tally = Tally(now, findings=wanted, stale_ages=STALE_AGES, **limits, **options)
    rejected = (0, 0, 0)
    for start in range(0, len(rows), page_size):
        page = decode_page(body_of(rows[start : start + page_size]), now, rows_asked=page_size)
        rejected = tuple(map(sum, zip(rejected, page.rejected, strict=True)))
        tally.add(page.artifacts)
    return tally, rejected


def inventory(rows, now=NOW, **options):
    """Return what raw rows add up to."""
    return tally(rows, now, **options)[0].inventory()


def totals(*rows, key=("one", "NPM"), **options):
    """Return the totals of the one registry and package type that the rows are in."""
    found = inventory(rows, **options)
    assert list(found.registries) == [key]
    return found.registries[RegistryKey(*key)]


def row(name="a", **fields):
    """Return a raw row of a registry that is scanned."""
    fields = {"packageType": "NPM", "registryType": "UPSTREAM", "version": "1", **fields}
    return {"name": name, "registryIdentifier": "one", **fields}


def families(registries):
    """Return the samples of each family by its labels, as `listings.count` does."""
    samples: dict[str, dict[Any, float]] = {}
    for key, totals in registries.items():
        by_label = {
            "har_artifacts": dict(totals.artifacts),
            "har_artifacts_quarantined": dict(totals.quarantined),
            "har_artifacts_deployed": dict(totals.deployed),
            "har_artifact_environments": {(to,): number for to, number in totals.environments.items()},
            "har_artifact_downloads": {(): totals.downloads},
            "har_artifact_files": {(): totals.files},
            "har_artifact_digests": {(): totals.digests},
            "har_artifacts_deleted": {(): totals.deleted},
            "har_artifact_newest_modified_timestamp_seconds": {(): totals.newest_modified},
            "har_artifact_newest_scan_timestamp_seconds": {(): totals.newest_scan},
            "har_artifact_oldest_scan_timestamp_seconds": {(): totals.oldest_scan},
        }
        if totals.artifacts:
            by_label["har_artifacts_stale_scan"] = {(age,): number for age, number in totals.stale_scans.items()}
        for family, numbers in by_label.items():
            for labels, number in numbers.items():
                if number is not None:
                    samples.setdefault(family, {})[*key, *labels] = number
    return samples


def finding(found):
    """Return a finding as `listings.count` does."""
    return {
        "labels": (*found.key, found.artifact, found.version),
        "kinds": list(found.kinds),
        "environments": dict(found.environments),
        "downloads": found.downloads,
        "scan_status": found.scan_status,
        "firewall_mode": found.firewall_mode,
        "reason": found.reason,
        "purl": found.purl,
        "uuid": found.uuid,
        "tags": found.tags,
    }


def assert_counted(rows, now=NOW, *, wanted=WANTED, limit=500):
    """Compare everything that the rows add up to with the independent count."""
    counted, rejected = tally(rows, now, wanted=wanted, limit=limit)
    found, expected = counted.inventory(), count(rows, now, wanted=wanted, limit=limit)
    assert families(found.registries) == expected.families
    assert list(found.registries) == sorted(found.registries)
    for key, totals in found.registries.items():
        if totals.artifacts:
            assert (totals.registry_type, totals.registry_uuid) in expected.infos[key]
    assert [finding(each) for each in found.findings] == expected.findings
    assert found.findings_dropped == expected.dropped
    assert found.artifacts == expected.artifacts
    assert rejected == expected.rejected
    return found


# Against the independent count


@given(
    rows=listings(),
    wanted_and_limit=st.tuples(
        st.sampled_from([WANTED, ("quarantined", "blocked", "warn")]), st.sampled_from([500, 0, 1, 2, 3])
    )
    | st.tuples(st.sampled_from([("warn",), ("quarantined", "warn"), ("quarantined",), ()]), st.just(500)),
)
def test_any_listing_adds_up_as_counted_apart(rows, wanted_and_limit):
    """Every family of the inventory and every finding is what plain loops over the raw rows make of it."""
    wanted, limit = wanted_and_limit
    assert_counted(rows, wanted=wanted, limit=limit)


@given(rows=listings(), seed=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_total_and_no_choice_of_findings(rows, seed):
    """Rows that are as good as each other come in any order; only the reason of a quarantine is the first one's."""
    shuffled = copy.deepcopy(rows)
    seed.shuffle(shuffled)

    def without_reasons(rows):
        found = inventory([row for row in rows if isinstance(row, dict)], limit=3)
        findings = [finding(each) | {"reason": None} for each in found.findings]
        return found.registries, findings, found.findings_dropped, found.artifacts

    assert without_reasons(shuffled) == without_reasons(rows)


@given(rows=listings())
def test_sums_of_totals_agree_with_each_other(rows):
    """Quarantined are a part of all, deployed by risk add up, and every label is clean."""
    for key, totals in inventory(rows).registries.items():
        assert totals.quarantined.keys() == totals.artifacts.keys()
        assert all(totals.quarantined[cell] <= number for cell, number in totals.artifacts.items())
        assert len(totals.deployed) == (10 if totals.artifacts else 0)
        for to in ("prod", "nonprod"):
            deployed = sum(number for (where, _), number in totals.deployed.items() if where == to)
            assert deployed <= sum(totals.artifacts.values())
        assert list(totals.stale_scans.values()) == sorted(totals.stale_scans.values(), reverse=True)
        texts = [
            *key,
            totals.registry_type,
            totals.registry_uuid,
            *(text for cell in totals.artifacts for text in cell),
        ]
        assert [clean(text) for text in texts] == texts


@pytest.mark.parametrize("payload", PAYLOAD_FILES, ids=lambda path: path.stem)
def test_real_answers_add_up_as_counted_apart(payload):
    """The answers that Harness keeps in its own tests."""
    rows = json.loads(payload.read_bytes())["data"]["artifacts"]
    assert assert_counted(rows).artifacts == len(rows) > 0


@settings(max_examples=10)
@given(now=st.floats(1_790_900_000, 1_890_000_000), space=st.sampled_from(SPACES), limit=st.sampled_from([500, 5]))
def test_the_demo_registry_adds_up_as_counted_apart(now, space, limit):
    """The demo's listing at any time, with the quirks that it was made to have."""
    found = assert_counted(listing(space, now), now, wanted=("quarantined", "blocked", "warn"), limit=limit)
    assert found.findings


# Statuses and zeros


def test_expected_statuses_are_zero_where_there_are_none():
    """Each firewall mode seen has ALLOWED, WARN and BLOCKED, and UNSCANNED where scanning applies."""
    found = totals(row("a", scanStatus="WARN", firewallMode="BLOCK"), row("b", isQuarantined=True))
    assert found.artifacts == {
        ("ALLOWED", "BLOCK"): 0,
        ("WARN", "BLOCK"): 1,
        ("BLOCKED", "BLOCK"): 0,
        ("UNSCANNED", "BLOCK"): 0,
        ("ALLOWED", "NONE"): 0,
        ("WARN", "NONE"): 0,
        ("BLOCKED", "NONE"): 0,
        ("UNSCANNED", "NONE"): 1,
    }
    assert found.quarantined == {cell: int(cell == ("UNSCANNED", "NONE")) for cell in found.artifacts}


@pytest.mark.parametrize(
    ("registry_type", "package_type", "status"),
    [
        *[("UPSTREAM", package_type, "UNSCANNED") for package_type in ("CARGO", "COMPOSER", "GO", "MAVEN", "NPM")],
        *[("upstream", package_type, "UNSCANNED") for package_type in ("NUGET", "PYTHON", "RPM", "HELM_HTTP", "npm")],
        *[("UPSTREAM", package_type, "NOT_APPLICABLE") for package_type in ("DOCKER", "HELM", "GENERIC", "NEW", None)],
        *[(registry_type, "NPM", "NOT_APPLICABLE") for registry_type in ("VIRTUAL", "", None)],
    ],
)
def test_a_missing_status_means_unscanned_only_where_scanning_applies(registry_type, package_type, status):
    """Elsewhere it does not apply, and no UNSCANNED is expected."""
    found = totals(
        row(registryType=registry_type, packageType=package_type), key=("one", package_type or "UNKNOWN")
    ).artifacts
    assert found == dict.fromkeys([("ALLOWED", "NONE"), ("WARN", "NONE"), ("BLOCKED", "NONE")], 0) | {
        (status, "NONE"): 1
    }


@pytest.mark.parametrize(("package_type", "status"), [("NPM", "UNSCANNED"), ("DOCKER", "NOT_APPLICABLE")])
def test_scanning_applies_to_registries_that_are_known_to_be_upstream(package_type, status):
    """Even if their rows do not name the type of the registry. Scanning does not apply to Docker."""
    key = ("one", package_type)
    upstream = [RegistryKey(*key)]
    found = totals(row(registryType=None, packageType=package_type), key=key, upstream=upstream)
    assert found.artifacts[status, "NONE"] == 1


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ({"scanStatus": "ALLOWED"}, "UNSCANNED"),
        ({"scanStatus": "brand new"}, "UNSCANNED"),
        ({"scanStatus": "ALLOWED", "deletedAt": 1}, "UNSCANNED"),
        ({"firewallMode": "QUARANTINE"}, "UNSCANNED"),
        ({"firewallMode": "ALLOW"}, "NOT_APPLICABLE"),
        ({"firewallMode": "allow", "scanStatus": ""}, "NOT_APPLICABLE"),
        ({"registryType": "UPSTREAM", "packageType": "GENERIC"}, "NOT_APPLICABLE"),
        ({"scanStatus": "ALLOWED", "registryIdentifier": "two"}, "NOT_APPLICABLE"),
        ({"scanStatus": "ALLOWED", "packageType": "DOCKER"}, "NOT_APPLICABLE"),
    ],
    ids=str,
)
def test_one_row_shows_that_its_whole_registry_is_scanned(evidence, status):
    """Before or after the rows without a status, whose risk follows; a row of another registry shows nothing."""
    plain = {"registryType": "VIRTUAL", "packageType": "GENERIC"}
    rows = [row(deploymentMetadata={"prodEnvCount": 1}, **plain), row("b", **{**plain, **evidence})]
    for order in rows, rows[::-1]:
        found = inventory(order).registries["one", "GENERIC"]
        assert found.artifacts[status, "NONE"] == (1 if evidence.keys() != {"registryType", "packageType"} else 2)
        assert ("UNSCANNED", "NONE") in found.artifacts or status != "UNSCANNED"
        assert found.deployed["prod", "unscanned"] == (status == "UNSCANNED")


def test_a_cargo_row_without_a_registry_type_is_of_the_type_that_another_row_has():
    """Real servers leave it out, now and then of some rows only."""
    fields = {"packageType": "CARGO"}
    rows = [row(registryType=None, **fields), row("b", **fields)]
    assert totals(*rows, key=("one", "CARGO")).artifacts["UNSCANNED", "NONE"] == 2


@pytest.mark.parametrize("status", ["blocked", "Blocked", "BLOCKED"])
def test_statuses_are_compared_without_case_and_exported_as_spelled(status):
    """A status in another case is as bad, and keeps its spelling."""
    found = inventory([row(scanStatus=status, deploymentMetadata={"prodEnvCount": 1})])
    [each], [only] = found.findings, found.registries.values()
    assert (each.kinds, each.scan_status) == (("blocked",), status)
    assert only.artifacts[status, "NONE"] == 1
    assert only.deployed["prod", "blocked"] == 1


@pytest.mark.parametrize(
    ("risk", "fields"),
    [
        ("quarantined", {"isQuarantined": True, "scanStatus": "BLOCKED"}),
        ("blocked", {"scanStatus": "BLOCKED"}),
        ("warn", {"scanStatus": "WARN"}),
        ("unscanned", {}),
        ("unscanned", {"scanStatus": "UNSCANNED", "registryType": "VIRTUAL"}),
        ("none", {"registryType": "VIRTUAL"}),
        ("none", {"scanStatus": "ALLOWED"}),
        ("none", {"scanStatus": "UNKNOWN"}),
        ("none", {"scanStatus": "brand new"}),
    ],
)
def test_every_artifact_has_one_risk_the_worst(risk, fields):
    """All ten combinations are there, and an artifact in both kinds of environment counts once in each."""
    deployments = {"prodEnvCount": 2, "nonProdEnvCount": 3}
    found = totals(row(deploymentMetadata=deployments, **fields), row("idle", **fields)).deployed
    assert found == {(to, each): int(each == risk) for to in ("prod", "nonprod") for each in RISKS}


def test_a_registry_with_deleted_rows_only_counts_nothing_else():
    """Deleted rows count nowhere else, not even as zeros."""
    fields = {"isQuarantined": True, "scanStatus": "BLOCKED", "downloadsCount": 5, "lastScannedAt": "1", "fileCount": 1}
    found = inventory([row(deletedAt="1730978736333", deploymentMetadata={"prodEnvCount": 1}, **fields)])
    [only] = found.registries.values()
    assert families(found.registries) == {"har_artifacts_deleted": {("one", "NPM"): 1}}
    assert (only.deployed, only.environments, found.findings, found.artifacts) == ({}, {}, (), 1)


# Rows that come again


@pytest.mark.parametrize("backwards", [False, True])
def test_a_version_that_is_listed_per_quarantine_counts_once(backwards):
    """Quarantined if any row says so, with the worst status and the first reason that is not empty."""
    rows = [
        row(scanStatus="WARN", isQuarantined=False, fileCount=3, downloadsCount=2),
        row(isQuarantined=True, fileCount=3, downloadsCount=2),
        row(scanStatus="BLOCKED", isQuarantined=True, quarantineReason="one", fileCount=3, downloadsCount=2),
        row(scanStatus="ALLOWED", isQuarantined=True, quarantineReason="two", fileCount=3, downloadsCount=2),
    ]
    found = inventory(rows[::-1] if backwards else rows)
    [only], [each] = found.registries.values(), found.findings
    assert sum(only.artifacts.values()) == only.artifacts["BLOCKED", "NONE"] == only.quarantined["BLOCKED", "NONE"] == 1
    assert (only.files, only.downloads, found.artifacts) == (3, 2, 1)
    assert (each.kinds, each.reason) == (("quarantined", "blocked"), "two" if backwards else "one")


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ("ALLOWED BLOCKED WARN", "BLOCKED"),
        ("ALLOWED WARN", "WARN"),
        ("ALLOWED UNSCANNED", "UNSCANNED"),
        ("ALLOWED UNKNOWN", "UNKNOWN"),
        ("BLOCKED blocked", "blocked"),
    ],
)
def test_the_worst_status_wins_in_any_order(statuses, worst):
    """Of two that are as bad it is always the same one, so that series do not flap."""
    rows = [row(scanStatus=status) for status in statuses.split()]
    for order in rows, rows[::-1]:
        found = totals(*order).artifacts
        assert [cell.scan_status for cell, number in found.items() if number] == [worst]


@pytest.mark.parametrize(("status", "worst"), [("ALLOWED", "UNSCANNED"), ("WARN", "WARN"), ("unscanned", "unscanned")])
def test_a_missing_status_is_as_bad_as_unscanned(status, worst):
    """A row that has one shows that scanning applies."""
    rows = [row(registryType="VIRTUAL", scanStatus=status), row(registryType="VIRTUAL")]
    for order in rows, rows[::-1]:
        found = totals(*order).artifacts
        assert [cell.scan_status for cell, number in found.items() if number] == [worst]


@pytest.mark.parametrize(
    "fields",
    [
        {"registryIdentifier": "two"},
        {"registryUUID": "another"},
        {"packageType": "MAVEN"},
        {"artifactType": "model"},
        {"artifactKey": {"architecture": "arm64"}},
        {"name": "b"},
        {"version": "2"},
    ],
)
def test_what_tells_versions_apart(fields):
    """Each part of the identity does; the uuid, which the tags of an image share, does not."""
    same = {"uuid": "shared"}
    assert inventory([row(**same), row(**same) | fields]).artifacts == 2
    assert inventory([row(), row(**same)]).artifacts == 1


def test_a_key_is_the_same_however_it_is_written():
    """Its names come in any order, and an empty one is none."""
    keys = [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}]
    assert inventory([row(artifactKey=key) for key in keys]).artifacts == 1
    assert inventory([row(artifactKey={}), row()]).artifacts == 1


def test_a_registry_is_known_by_its_uuid_first():
    """The identifier stands in where there is no uuid."""
    assert inventory([row(registryUUID="u"), row(registryUUID="u", registryIdentifier="renamed")]).artifacts == 1
    assert inventory([row(registryUUID=""), row(registryUUID=None)]).artifacts == 1


def test_add_tells_how_many_rows_are_new():
    """A walk that learns nothing new notices."""
    counted, _ = tally([])
    page = decode_page(body_of([row("a"), row("b"), row("a")]), NOW, rows_asked=3)
    assert counted.add(page.artifacts) == 2
    assert counted.add(page.artifacts) == 0
    assert counted.add([]) == 0


# Sums


def test_downloads_of_an_image_count_once_and_at_their_largest():
    """Rows that share an image uuid repeat its downloads; rows without one stand for themselves."""

    def tag(name, **fields):
        return row(name, packageType="DOCKER", **fields)

    rows = [tag(str(i), uuid="image", downloadsCount=number) for i, number in enumerate([3, 9, 0, 5])]
    docker = ("one", "DOCKER")
    assert totals(*rows, key=docker).downloads == 9
    assert totals(*rows[::-1], key=docker).downloads == 9
    rest = tag("x", uuid="other", downloadsCount=9), tag("y", downloadsCount=9)
    assert totals(*rows, *rest, key=docker).downloads == 27
    elsewhere = inventory([*rows, tag("x", registryIdentifier="two", uuid="image", downloadsCount=4)]).registries
    assert [each.downloads for each in elsewhere.values()] == [9, 4]


@pytest.mark.parametrize(
    ("package_type", "downloads"), [("docker", 5), ("HELM", 5), ("HELM_HTTP", 8), ("MAVEN", 8), (None, 8)]
)
def test_only_docker_and_helm_rows_have_the_uuid_of_an_image(package_type, downloads):
    """The uuid of other rows is that of the version, whose downloads are its own."""
    rows = [row(str(number), packageType=package_type, uuid="same", downloadsCount=number) for number in (3, 5)]
    assert totals(*rows, key=("one", package_type or "UNKNOWN")).downloads == downloads


@pytest.mark.parametrize("field", ["downloadsCount", "fileCount", "digestCount", "prodEnvCount", "nonProdEnvCount"])
def test_absent_counts_are_not_zero(field):
    """A number that no row has is absent; one row that has it is enough, be it 0."""

    def number(*values):
        rows = [
            row(str(i), deploymentMetadata={field: value} if "Env" in field else None, **{field: value})
            for i, value in enumerate(values)
        ]
        found = totals(*rows)
        return {
            "downloadsCount": found.downloads,
            "fileCount": found.files,
            "digestCount": found.digests,
            "prodEnvCount": found.environments.get("prod"),
            "nonProdEnvCount": found.environments.get("nonprod"),
        }[field]

    assert number(None, None) is None
    assert number(None, 0) == 0
    assert number(2, None, 3) == 5


def test_a_scan_is_stale_once_it_is_older_than_the_age():
    """Ages are cumulative, an age that is just reached is not older, and the rest was never scanned."""
    rows = [row(str(days), lastScannedAt=int((NOW - days * DAY) * 1000)) for days in (0, 7, 7.001, 30.001, 90, 90.001)]
    for order in rows, rows[::-1]:
        found = totals(*order, row("never"))
        assert found.stale_scans == {"7d": 4, "30d": 3, "90d": 1}
        assert (found.oldest_scan, found.newest_scan) == (int((NOW - 90.001 * DAY) * 1000) / 1000, NOW)


def test_a_registry_is_described_by_its_newest_row():
    """Where rows disagree, and in any order; a deleted row has no say."""
    rows = [
        row("a", lastModified=2000, registryType="VIRTUAL", registryUUID="new"),
        row("b", lastModified=1000, registryType="UPSTREAM", registryUUID="old"),
        row("c", registryType="UPSTREAM", registryUUID="timeless"),
        row("d", lastModified=3000, registryType="UPSTREAM", registryUUID="gone", deletedAt=1),
    ]
    for order in rows, rows[::-1]:
        found = totals(*order)
        assert (found.registry_type, found.registry_uuid, found.newest_modified) == ("VIRTUAL", "new", 2.0)


def test_what_describes_a_registry_is_fit_to_be_a_label():
    """A lone surrogate in it would break every scrape."""
    found = totals(row(registryType="\ud800", registryUUID="\n" * 300))
    assert (found.registry_type, len(found.registry_uuid)) == ("?", 256)


def test_registries_whose_labels_collide_are_summed():
    """Two identifiers that look alike once cleaned make one set of totals."""
    rows = [row(registryIdentifier=f"r{c}", fileCount=1, firewallMode=f"m{c}") for c in "\x00\x01"]
    found = totals(*rows, key=("r?", "NPM"))
    assert (found.files, found.artifacts["UNSCANNED", "m?"]) == (2, 2)


# Limits


crowds = st.lists(
    st.builds(
        lambda number, registry, kind, status, mode, fields: row(
            f"{number}", registryIdentifier=registry, packageType=kind, scanStatus=status, firewallMode=mode, **fields
        ),
        st.integers(0, 20),
        st.sampled_from(["(other)", *map(str, range(6))]),
        st.sampled_from(["(other)", "NPM", "OTHER"]),
        st.sampled_from(["(other)", "ALLOWED", "BLOCKED", "blocked", None, *(f"s{number}" for number in range(30))]),
        st.sampled_from(["(other)", None, *(f"m{number}" for number in range(30))]),
        st.fixed_dictionaries(
            {"isQuarantined": st.booleans()},
            optional={
                "deletedAt": st.just(1),
                "deploymentMetadata": st.fixed_dictionaries({"prodEnvCount": counts, "nonProdEnvCount": counts}),
                "downloadsCount": counts,
                "fileCount": counts,
                "digestCount": counts,
                "uuid": st.sampled_from("xyz"),
                "lastModified": times,
                "lastScannedAt": times,
                "registryType": st.sampled_from(["UPSTREAM", "VIRTUAL"]),
            },
        ),
    ),
    max_size=80,
    unique_by=lambda row: (row["registryIdentifier"], row["packageType"], row["name"]),
)


def over_all_registries(families):
    """Return what the samples of each family come to, whatever the labels that a limit may replace."""
    together: dict[Any, float] = {}
    for family, samples in families.items():
        add = min if "oldest" in family else max if "newest" in family else lambda *numbers: sum(numbers)
        for (_, _, *labels), number in samples.items():
            key = (family, *([] if family in {"har_artifacts", "har_artifacts_quarantined"} else labels))
            together[key] = add(together[key], number) if key in together else number
    return together


@given(rows=crowds, limit=st.integers(0, 6))
def test_every_family_comes_to_the_same_with_and_without_limits(rows, limit):
    """Whatever is added up with others: registries, package types, statuses, modes, or what has their very name."""
    found, expected = inventory(rows, registries=limit), count(rows)
    assert over_all_registries(families(found.registries)) == over_all_registries(expected.families)
    assert len(found.registries) <= limit + 1
    for labels in zip(*(cell for totals in found.registries.values() for cell in totals.artifacts), strict=True):
        assert len({*labels} - {"(other)"}) <= 16
    everything = len({(each["registryIdentifier"], each["packageType"]) for each in rows})
    assert found.registries_dropped == max(0, everything - limit)
    assert [each["labels"] for each in map(finding, found.findings)] == [each["labels"] for each in expected.findings]


@pytest.mark.parametrize(("limit", "own"), [(0, ""), (1, "b"), (2, "bc"), (3, "abc"), (4, "abcd"), (9, "abcd")])
def test_the_largest_registries_have_totals_of_their_own(limit, own):
    """By live rows, then by name; the others are one, which has neither a type nor a UUID."""
    sizes = {"a": 2, "b": 4, "c": 3, "d": 2}
    rows = [
        row(f"{number}", registryIdentifier=name, registryUUID=name, fileCount=1)
        for name, size in sizes.items()
        for number in range(size)
    ]
    rows += [row(f"gone {number}", registryIdentifier="d", registryUUID="d", deletedAt=1) for number in range(9)]
    found = inventory(rows, registries=limit)
    others = {} if len(own) == 4 else {("(other)", "(other)"): sum(sizes[name] for name in {*sizes} - {*own})}
    expected = {(name, "NPM"): sizes[name] for name in own} | others
    assert {key: totals.files for key, totals in found.registries.items()} == expected
    assert found.registries_dropped == 4 - len(own)
    assert [found.registries[key].registry_uuid for key in others] == [""] * len(others)
    assert sum(totals.deleted for totals in found.registries.values()) == 9


def test_registries_and_labels_are_chosen_by_all_of_their_rows():
    """Not by those with equal traits, of which the large ones have two kinds."""
    statuses = (("a", None), ("a", None), ("b", "WARN"), ("b", "WARN"), ("b", "BLOCKED"))
    rows = [row(str(n), registryIdentifier=name, scanStatus=status) for n, (name, status) in enumerate(statuses)]
    assert {key.registry for key in inventory(rows, registries=1).registries} == {"b", "(other)"}
    rare = [row(str(n), scanStatus=f"s{n:02}", firewallMode=f"m{n:02}") for n in range(20)]
    often = [row(f"x{n}", scanStatus="z", firewallMode="z", isQuarantined=bool(n)) for n in range(2)]
    assert Cell("z", "z") in totals(*rare, *often).artifacts


def test_the_others_keep_what_they_are_by_themselves():
    """Whether scanning applies is settled for each registry before they are added up."""
    rows = [row(registryIdentifier="a"), row(registryIdentifier="b", registryType="VIRTUAL", deploymentMetadata={})]
    [others] = inventory(rows, registries=0).registries.values()
    assert {cell.scan_status: number for cell, number in others.artifacts.items() if number} == {
        "UNSCANNED": 1,
        "NOT_APPLICABLE": 1,
    }
    assert (others.environments, others.downloads) == ({}, None)


def test_the_most_frequent_statuses_and_modes_keep_their_names():
    """Besides those that are always there."""
    numbers = range(20)
    rows = [
        row(f"{number} {copy}", scanStatus=f"s{number:02}", firewallMode=f"m{number:02}")
        for number in numbers
        for copy in range(30 - number)
    ]
    cells = totals(*rows).artifacts
    always = {"ALLOWED", "WARN", "BLOCKED", "UNSCANNED", "(other)"}
    assert {cell.scan_status for cell in cells} == always | {f"s{number:02}" for number in numbers[:11]}
    assert {cell.firewall_mode for cell in cells} == {"(other)"} | {f"m{number:02}" for number in numbers[:15]}
    assert sum(number for cell, number in cells.items() if "(other)" in cell) == sum(30 - n for n in numbers[11:])


def test_what_is_known_to_be_bad_counts_after_any_number_of_other_statuses():
    """They are no longer kept by name, long before all are counted."""
    rows = [row(f"{n}", scanStatus=f"s{n}", firewallMode=f"m{n}") for n in range(1_200)]
    in_prod = {"deploymentMetadata": {"prodEnvCount": 1}}
    rows += [row(f"{status}", scanStatus=status, **in_prod) for status in ("BLOCKED", "blocked", "Warn", None)]
    found = totals(*rows)
    numbers = Counter(found.artifacts)
    assert numbers.total() == len(rows)
    assert (numbers["BLOCKED", "NONE"], numbers["UNSCANNED", "NONE"]) == (1, 1)
    assert [found.deployed["prod", risk] for risk in RISKS] == [0, 2, 1, 1, 0]
    assert sum(number for cell, number in numbers.items() if cell.scan_status == "(other)") > 1_000


def test_findings_keep_the_names_of_their_registries_statuses_and_modes():
    """They have a limit of their own, and someone must act on them."""
    rows = [row(f"{n}", firewallMode=f"m{n:02}", registryIdentifier=f"r{n}", isQuarantined=True) for n in range(30)]
    found = inventory(rows, registries=1)
    assert {each.key.registry for each in found.findings} == {f"r{n}" for n in range(30)}
    assert {each.firewall_mode for each in found.findings} == {f"m{n:02}" for n in range(30)}


# Findings


def test_findings_are_listed_by_urgency():
    """Production first, then quarantined, blocked, warn, then by name."""
    in_prod = {"deploymentMetadata": {"prodEnvCount": 1, "nonProdEnvCount": 0}}
    rows = [
        row("6 warn", scanStatus="WARN", deploymentMetadata={"prodEnvCount": 0, "nonProdEnvCount": 9}),
        row("5 blocked", scanStatus="BLOCKED"),
        row("4 b", isQuarantined=True),
        row("3 a", isQuarantined=True),
        row("2 warn", scanStatus="WARN", **in_prod),
        row("1 blocked", scanStatus="BLOCKED", **in_prod),
        row("0 quarantined", isQuarantined=True, **in_prod),
        row("allowed", scanStatus="ALLOWED", **in_prod),
    ]
    for seed in range(20):
        random.Random(seed).shuffle(rows)
        found = inventory(rows, wanted=("quarantined", "blocked", "warn"), limit=7)
        assert [each.artifact for each in found.findings] == sorted(each["name"] for each in rows)[:7]
        assert found.findings_dropped == 0


BLOCKED = [row(name, scanStatus="BLOCKED") for name in "abcdef"]


def found_after(before, rows, *, now, wanted=WANTED, limit=2):
    """Return what a walk of these rows found that began at that time, after the one before."""
    counted = Tally(
        NOW, now, before and before.first_seen,
        findings=wanted, findings_limit=limit, registries_limit=500, stale_ages=STALE_AGES,
    )  # fmt: skip
    counted.add(decode_page(body_of(rows), NOW, rows_asked=len(rows)).artifacts)
    return counted.inventory()


def names(found):
    return "".join(each.artifact for each in found.findings)


def test_a_new_finding_comes_before_those_that_are_not_in_production_for_an_hour():
    """Also while it is over the limit; one that comes back later is new again."""
    in_prod = row("g", scanStatus="BLOCKED", deploymentMetadata={"prodEnvCount": 1})
    first = found_after(None, BLOCKED[:4], now=100.0)
    assert names(first) == "ab"
    second = found_after(first, [*BLOCKED[:5], in_prod], now=200.0)
    assert names(second) == "ge"
    third = found_after(second, [*BLOCKED, in_prod], now=3_799.0)
    assert [names(third), names(found_after(second, [*BLOCKED[:5], in_prod], now=3_800.0))] == ["ge", "ga"]
    later = [found_after(third, [*BLOCKED, in_prod], now=now) for now in (3_800.0, 7_398.0, 7_399.0)]
    assert [*map(names, later)] == ["gf", "gf", "ga"]
    without = found_after(later[-1], [*BLOCKED[:4], in_prod], now=8_000.0)
    assert names(found_after(without, [*BLOCKED, in_prod], now=8_100.0, limit=3)) == "gef"


def test_of_the_findings_over_the_limit_none_is_new():
    """They were findings of the last snapshot as well, in any number; those that are listed twice count once."""
    many = [row(f"{number:03}", scanStatus="BLOCKED") for number in range(100)]
    first = found_after(None, many, now=0.0)
    second = found_after(first, [*many, row("new", scanStatus="BLOCKED")], now=60.0)
    assert [each.artifact for each in second.findings] == ["new", "000"]
    third = found_after(second, 2 * many, now=120.0)
    assert [each.artifact for each in third.findings] == ["000", "001"]
    assert [len(each.first_seen.identities) for each in (first, second, third)] == [100, 101, 100]
    assert [each.findings_dropped for each in (first, second, third)] == [98, 99, 98]


def test_findings_over_the_limit_take_little_memory():
    """A listing may hold nothing else, and be listed twice."""
    number = 20_000
    rows = decode_page(body_of([row(str(n), scanStatus="BLOCKED") for n in range(number)]), NOW, rows_asked=number)
    counted = Tally(NOW, findings=WANTED, findings_limit=10, registries_limit=10, stale_ages=STALE_AGES)
    for _ in range(2):
        counted.add(rows.artifacts)
    tracemalloc.start()
    try:
        counted.inventory()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / number < 40


def test_what_turned_out_to_be_no_finding_is_new_when_it_is_one():
    """A version is listed again as blocked, where only warnings are wanted."""
    warned = [row(name, scanStatus="WARN") for name in "ab"]
    first = found_after(None, [*warned, row("b", scanStatus="BLOCKED")], now=0.0, wanted=("warn",))
    second = found_after(first, warned, now=60.0, wanted=("warn",))
    assert (names(first), names(second)) == ("a", "ba")


def test_what_turned_out_to_be_a_finding_is_known_afterwards():
    """A version is listed again as blocked."""
    first = found_after(None, [BLOCKED[0], row("b", scanStatus="ALLOWED"), BLOCKED[1]], now=0.0)
    assert (names(first), names(found_after(first, BLOCKED[:2], now=60.0))) == ("ab", "ab")


def test_nothing_is_new_that_other_settings_find():
    """Where warnings are wanted as well, they must not push out what is quarantined for an hour."""
    rows = [*BLOCKED[:2], row("0", scanStatus="WARN")]
    wanted = (*WANTED, "warn")
    first = found_after(None, rows, now=0.0)
    second = found_after(first, rows, now=60.0, wanted=wanted)
    assert (names(first), names(second)) == ("ab", "ab")
    assert names(found_after(second, [row("9", scanStatus="WARN"), *rows], now=120.0, wanted=wanted)) == "9a"


@given(known=st.sets(st.integers(-(2**63), 2**63 - 1)), asked=st.integers(-(2**63), 2**63 - 1))
def test_the_findings_of_a_snapshot_are_known_by_their_identities(known, asked):
    """Each of them, and nothing else."""
    seen = Novelty(WANTED, FirstSeen(WANTED, array("q"), array("d")), now=7.0).first_seen(known)
    assert [seen.of(identity) for identity in known] == [7.0] * len(known)
    assert (seen.of(asked) is None) is (asked not in known)


def test_scanning_applies_to_the_others_together_if_it_does_to_one_of_them():
    """Then unscanned versions are exported for them, 0 included."""
    large = [row(name, registryIdentifier="large") for name in "ab"]
    small = [row("c", registryIdentifier="scanned"), row("d", registryIdentifier="own", registryType="VIRTUAL")]
    cells = set(inventory([*large, *small], registries=1).registries[OTHERS].artifacts)
    assert cells >= {Cell("UNSCANNED", "NONE"), Cell("NOT_APPLICABLE", "NONE")}
    others = inventory([*large, row("c", registryIdentifier="scanned", scanStatus="ALLOWED")], registries=1)
    assert others.registries[OTHERS].artifacts[Cell("UNSCANNED", "NONE")] == 0


def test_warned_artifacts_are_findings_only_on_demand():
    """What is quarantined and warned of is a finding for the first alone."""
    rows = [row("a", scanStatus="WARN"), row("b", scanStatus="WARN", isQuarantined=True)]
    assert [each.kinds for each in inventory(rows).findings] == [("quarantined",)]
    every = inventory(rows, wanted=("quarantined", "blocked", "warn")).findings
    assert [each.kinds for each in every] == [("quarantined", "warn"), ("warn",)]


@pytest.mark.parametrize("wanted", [("warn",), ("quarantined", "warn")])
def test_a_finding_that_turns_out_worse_than_what_is_wanted_is_none(wanted):
    """A version is listed again as blocked, where only warnings are wanted."""
    rows = [row(scanStatus="WARN"), row("b", scanStatus="WARN"), row(scanStatus="BLOCKED"), row(scanStatus="BLOCKED")]
    found = inventory(rows, wanted=wanted)
    assert [each.artifact for each in found.findings] == ["b"]


def test_the_first_reason_is_kept_of_a_row_that_becomes_a_finding_later():
    """Where quarantine alone is no finding, the row that tells of the warning need not tell why it is quarantined."""
    quarantined = row(isQuarantined=True, scanStatus="ALLOWED", quarantineReason="first")
    warned = row(isQuarantined=True, scanStatus="WARN")
    for rows in ([quarantined, warned], [quarantined, warned | {"quarantineReason": "second"}], [warned, quarantined]):
        [found] = inventory(rows, wanted=("warn",)).findings
        assert found.reason == "first"


def test_the_reason_is_kept_of_a_finding_that_is_none_for_a_while():
    """It was warned of, is blocked after all, which is not wanted here, and is quarantined in the end."""
    first = {"quarantineReason": "first"}
    for rows in (
        [row(scanStatus="WARN", **first), row(scanStatus="BLOCKED"), row(isQuarantined=True)],
        [row(scanStatus="WARN"), row(scanStatus="BLOCKED", **first), row(isQuarantined=True)],
    ):
        [found] = inventory(rows, wanted=("quarantined", "warn")).findings
        assert found.reason == "first"


def test_of_findings_with_equal_names_the_same_one_is_kept_whatever_their_order():
    rows = [row(isQuarantined=True, registryUUID=uuid, purl=uuid) for uuid in ("b", "a")]
    assert [inventory(order, limit=1).findings[0].purl for order in (rows, rows[::-1])] == ["a", "a"]


def test_rows_that_are_listed_again_as_quarantined_count_once_each():
    rows = [row(name, isQuarantined=quarantined) for quarantined in (False, True) for name in "abc"]
    found = totals(*rows)
    assert (sum(found.artifacts.values()), sum(found.quarantined.values())) == (3, 3)


def test_a_row_that_turns_into_a_finding_is_dropped_beside_those_that_were_ones():
    rows = [row("a", isQuarantined=True), row("b"), row("b", isQuarantined=True)]
    found = inventory(rows, limit=1)
    assert [each.artifact for each in found.findings] == ["a"]
    assert found.findings_dropped == 1


@pytest.mark.parametrize("limit", [0, 1, 7, 100, 1000])
def test_never_more_findings_than_the_limit_and_always_the_same_ones(limit):
    """The rest is told of as dropped, and does not take memory while the walk lasts."""
    rows = [row(f"{i:04}", scanStatus=("BLOCKED", "ALLOWED")[i % 2]) for i in range(600)]
    random.Random(1).shuffle(rows)
    counted, _ = tally(rows, limit=limit)
    found = counted.inventory()
    assert [each.artifact for each in found.findings] == [f"{i:04}" for i in range(0, 600, 2)][:limit]
    assert found.findings_dropped == max(0, 300 - limit)
    assert len(counted._findings._found) <= max(2 * limit, 1)


def test_a_finding_that_was_set_aside_comes_back_when_it_turns_out_worse():
    """A version is listed again as quarantined, after others have filled the limit."""
    rows = [row("z", scanStatus="BLOCKED"), *(row(f"{i}", scanStatus="BLOCKED") for i in range(9))]
    found = inventory([*rows, row("z", isQuarantined=True, quarantineReason="why")], limit=2)
    assert [(each.artifact, each.reason) for each in found.findings] == [("z", "why"), ("0", "")]
    assert found.findings_dropped == 8


def test_findings_whose_labels_collide_are_merged():
    """Their kinds add up, the rest is the first row's by name; the limit is one of artifacts."""
    rows = [
        row("a\x01", scanStatus="BLOCKED", purl="second", downloadsCount=2),
        row("a\x00", isQuarantined=True, purl="first", quarantineReason="bad\n", downloadsCount=1),
        row("b", scanStatus="BLOCKED"),
    ]
    [merged, other] = inventory(rows, limit=3).findings
    assert (merged.artifact, merged.kinds, merged.purl) == ("a?", ("quarantined", "blocked"), "first")
    assert (merged.reason, merged.downloads, merged.scan_status) == ("bad?", 1, "UNSCANNED")
    assert (other.artifact, other.downloads, other.environments) == ("b", None, {})
    rows[0] |= {"deploymentMetadata": {"prodEnvCount": 3}}
    [merged] = inventory(rows, limit=2).findings
    assert (merged.purl, merged.environments) == ("first", {})


def test_the_texts_of_a_finding_are_made_into_labels():
    """Each of them may hold what no label may show, such as the key that the server was sent."""
    texts = (
        "packageType",
        "version",
        "registryIdentifier",
        "purl",
        "uuid",
        "quarantineReason",
        "scanStatus",
        "firewallMode",
    )
    canaries = {**dict.fromkeys(texts, "canary"), "metadata": {"tags": ["canary"]}, "isQuarantined": True}
    [found] = inventory([row("canary", **canaries)], label=lambda text: text.replace("canary", "*")).findings
    assert "canary" not in repr(found)
    assert repr(found).count("*") == len(texts) + 2


def test_the_texts_of_merged_findings_are_those_of_the_first_version():
    """Where the names are equal, in any order of rows, and however urgent the others are."""
    in_prod = {"deploymentMetadata": {"prodEnvCount": 1}}
    rows = [
        row(version="a\x01", isQuarantined=True, purl="2", **in_prod),
        row(version="a\x00", isQuarantined=True, purl="1"),
    ]
    for order in rows, rows[::-1]:
        [found] = inventory(order).findings
        assert found.purl == "1"


def test_findings_that_differ_in_nothing_but_their_type_are_chosen_alike():
    """Where labels cannot tell two artifacts apart, the order of rows decides nothing."""
    rows = [row(isQuarantined=True, artifactType=kind, purl=kind) for kind in ("model", "dataset")]
    for order in rows, rows[::-1]:
        [found] = inventory(order, limit=1).findings
        assert found.purl == "dataset"


def test_environments_of_a_finding_are_absent_where_the_api_sends_none():
    """Zero is included, absent is not zero."""
    some = [None, {}, {"prodEnvCount": 0}, {"nonProdEnvCount": 2, "prodEnvCount": 1}]
    rows = [row(str(i), isQuarantined=True, deploymentMetadata=counts) for i, counts in enumerate(some)]
    found = {each.artifact: each.environments for each in inventory(rows).findings}
    assert found == {"0": {}, "1": {}, "2": {"prod": 0}, "3": {"prod": 1, "nonprod": 2}}
