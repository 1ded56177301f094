"""The estate of the demo has at any time what the demo promises, and its three listings agree."""

from collections import Counter

import pytest
import requests

from exporter.demo.artifacts import listing
from exporter.demo.catalogue import PREVIEWED, PUBLIC, SPACES, UNTYPED, WEAKENED
from exporter.demo.estate import DEMO
from exporter.demo.server import Registry
from exporter.demo.violations import REFUSED, REFUSED_AT_TIMES
from exporter.harness.registries import decode_firewall_mode
from exporter.inventory.registries import read_registries
from exporter.inventory.violations import read_violations
from tests.support.asking import ask_page, milliseconds
from tests.support.moments import PERIOD, at_any_time
from tests.support.sources import passing

pytestmark = pytest.mark.simulation

START = 1_000_000 * PERIOD


def artifacts(now):
    """Return the live rows of all spaces by registry."""
    found = {}
    for space in (*SPACES, PREVIEWED):
        for row in listing(space, now) or ():
            if "deletedAt" not in row:
                found.setdefault(row["registryIdentifier"], []).append(row)
    return found


def space_of(row):
    return row["path"].rpartition("/")[0]


def version_of(row):
    return row["registryName"], row["packageName"], row["version"]


@at_any_time
def test_the_same_time_gives_the_same_rows(now):
    """Both listings are functions of the time; what a caller does to their rows stays there."""
    for rows_at in (DEMO.registries, DEMO.violations):
        rows = rows_at(now)
        before = repr(rows)
        for row in rows:
            row.clear()
        assert repr(rows_at(now)) == before


@at_any_time
def test_registries_agree_with_their_artifacts(now):
    """What both listings say of a registry is the same, and no registry of an artifact is missing."""
    listed = {row["identifier"]: row for row in DEMO.registries(now)}
    found = artifacts(now)
    assert found.keys() == listed.keys() - {UNTYPED}
    for name, rows in found.items():
        registry = listed[name]
        assert {row.get("registryUUID") or registry["uuid"] for row in rows} == {registry["uuid"]}
        assert {row.get("registryType") or registry["type"] for row in rows} == {registry["type"]}
        assert {row.get("registryPath") or registry["path"] for row in rows} == {registry["path"]}
        assert {row.get("firewallMode") for row in rows} == {registry["config"].get("firewallMode")}
        assert {row["packageType"] for row in rows} == {registry["packageType"]}
        assert len({row["name"] for row in rows}) == registry["artifactsCount"]
        by_image = registry["packageType"] in {"DOCKER", "HELM"}
        counted = {(row["name"], by_image or row["version"]): row["downloadsCount"] for row in rows}
        assert sum(counted.values()) == registry["downloadsCount"]
        assert registry["registrySize"].endswith((" GB", " MB"))
    assert len({row["uuid"] for row in listed.values()}) == len(listed)
    assert all(milliseconds(row) <= now * 1000 for row in listed.values())


@at_any_time
def test_an_empty_registry_and_a_public_one_are_there(now):
    """One registry has no artifacts, which leaves out its counts, and no package type; another one is public."""
    rows = DEMO.registries(now)
    assert [row["identifier"] for row in rows if row["isPublic"]] == [PUBLIC]
    (empty,) = [row for row in rows if "artifactsCount" not in row]
    assert empty["identifier"] == UNTYPED
    assert empty.keys().isdisjoint({"packageType", "downloadsCount", "registrySize"})


@at_any_time
def test_a_project_comes_and_goes(now):
    """For a half of each period there is one project more, with registries, artifacts and a violation."""
    there = now % 1800 < 900
    spaces = set(map(space_of, DEMO.registries(now)))
    assert spaces == {*SPACES, PREVIEWED} if there else spaces == {*SPACES}
    assert bool(listing(PREVIEWED, now)) is there
    assert (PREVIEWED in map(space_of, DEMO.violations(now))) is there


@at_any_time
def test_a_firewall_is_weakened_for_a_part_of_each_period(now):
    """Its mode is WARN for ten minutes of each half hour, in the configuration and in the rows."""
    modes = {row["identifier"]: row["config"].get("firewallMode") for row in DEMO.registries(now)}
    weakened = 900 <= now % 1800 < 1500
    assert modes[WEAKENED] == ("WARN" if weakened else "BLOCK")
    assert {name for name, mode in modes.items() if mode} <= {
        row["identifier"] for row in DEMO.registries(now) if row["type"] == "UPSTREAM"
    }


@at_any_time
def test_violations_are_what_was_blocked_or_warned_of_and_what_was_refused(now):
    """Each scanned version that is not allowed is one violation with its status; refused ones are in no listing."""
    rows = DEMO.violations(now)
    found = artifacts(now)
    entered = {
        (name, row["name"], row["version"]): row["scanStatus"]
        for name, artifacts in found.items()
        for row in artifacts
        if row.get("scanStatus") in {"BLOCKED", "WARN"}
    }
    refused = {*REFUSED} | ({REFUSED_AT_TIMES} if 120 <= now % 600 < 420 else set())
    assert {version_of(row): row["scanStatus"] for row in rows} == entered | dict.fromkeys(refused, "BLOCKED")
    assert {version_of(row) for row in rows} & refused == refused
    assert not {(name, row["name"]) for name, rows in found.items() for row in rows} & {key[:2] for key in refused}
    assert len({row["id"] for row in rows}) == len(rows) == len(entered) + len(refused)


@at_any_time
def test_every_violation_has_a_place(now):
    """Its registry is listed, in the same space, and named by organization and project where the space has these."""
    listed = {row["uuid"]: row for row in DEMO.registries(now)}
    for row in DEMO.violations(now):
        registry = listed[row["registryId"]]
        assert (row["path"], row["registryName"]) == (registry["path"], registry["identifier"])
        assert row["packageType"] == registry["packageType"]
        names = [row[name] for name in ("RegistryOrgId", "RegistryProjectId") if name in row]
        assert "/".join(["demo", *names]) == space_of(row)


@at_any_time
def test_every_kind_of_violation_is_there(now):
    """All statuses, categories and exemptions occur, several of a kind in one row, and both types of times."""
    rows = DEMO.violations(now)
    assert {row["scanStatus"] for row in rows} == {"BLOCKED", "WARN"}
    categories = [category for row in rows for category in row["securityViolationCategories"]]
    assert {*categories} == {"Security", "License", "MaliciousPackage", "PackageAge", "OssRiskLevel"}
    assert {row.get("exemptionStatus") for row in rows} == {None, "PENDING", "APPROVED", "REJECTED", "EXPIRED"}
    assert len(categories) > len(rows)
    assert max(len(row["policySets"]) for row in rows) > 1
    assert {type(row["lastEvaluatedAt"]) for row in rows} == {str, int}
    assert all(milliseconds(row, "lastEvaluatedAt") <= now * 1000 for row in rows)
    assert all(row["purl"].endswith(f"@{row['version']}") for row in rows)


def test_the_violation_that_comes_is_the_newest():
    """It is evaluated when it comes, so that it is listed first."""
    evaluated = {version_of(row): milliseconds(row, "lastEvaluatedAt") for row in DEMO.violations(START + 130)}
    assert evaluated.pop(REFUSED_AT_TIMES) == (START + 120) * 1000 > max(evaluated.values())


@pytest.mark.parametrize("descendants", [False, True])
@pytest.mark.parametrize("space", [*SPACES, PREVIEWED])
def test_the_sources_read_the_estate(space, descendants):
    """What is read over HTTP of a space, and of those below it, equals a plain count of the estate."""
    now = START + 130
    with Registry(now=lambda: now) as registry, requests.Session() as session:
        ask = ask_page(session, registry)
        found = read_registries(ask, space, now, descendants=descendants)
        modes = {place: decode_firewall_mode(ask(source, 0, 1)) for place, source in found.upstream()}
        found = found.with_firewall_modes(modes)
        violations = read_violations(ask, found, now, filters=passing(*SPACES, PREVIEWED), findings_limit=500)
    registries, refused = (
        [row for row in rows if space_of(row) == space or (descendants and row["path"].startswith(f"{space}/"))]
        for rows in (DEMO.registries(now), DEMO.violations(now))
    )
    assert [
        (name, key.registry, registry.uuid, registry.public, registry.firewall_mode)
        for name, of in found.spaces.items()
        for key, registry in of.items()
    ] == sorted(
        (space_of(row), row["identifier"], row["uuid"], row["isPublic"], row["config"].get("firewallMode"))
        for row in registries
    )
    assert Counter((name, each.artifact) for name, of in violations.spaces.items() for each in of.named) == Counter(
        (space_of(row), row["packageName"]) for row in refused
    )
    assert found.reading.rejected == violations.reading.rejected == (0, 0, 0)
