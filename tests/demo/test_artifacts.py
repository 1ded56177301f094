"""The listing of the demo registry has at any time what the demo promises."""

from collections import Counter

from exporter.demo.artifacts import PUSH_INTERVAL, PUSHES_KEPT, ZERO_TIME, listing
from exporter.demo.catalogue import CYCLING, SPACES, WEAKENED
from exporter.demo.cycles import QUARANTINE, WEAKENING
from tests.support.asking import milliseconds
from tests.support.moments import at_any_time

NOW = 1_795_000_000.0
DAY = 86_400.0
SCANNED_TYPES = {"CARGO", "COMPOSER", "GO", "MAVEN", "NPM", "NUGET", "PYTHON", "RPM"}


def everything(now):
    """Return the rows of all spaces."""
    return [row for space in SPACES for row in listing(space, now)]


def identity(row):
    """Return what tells one version from all others."""
    return row["registryIdentifier"], row["packageType"], row["name"], row["version"]


@at_any_time
def test_the_same_time_gives_the_same_rows(now):
    """The listing is a function of space and time; what a caller does to its rows stays there."""
    for space in SPACES:
        rows = listing(space, now)
        before = repr(rows)
        for row in rows:
            row.clear()
        assert repr(listing(space, now)) == before
    assert listing("demo/nowhere", now) is None


@at_any_time
def test_the_inventory_hovers(now):
    """There are 400 to 600 artifacts in about ten registries, and as many pushes as announced, give or take one."""
    rows = everything(now)
    assert 400 <= len({identity(row) for row in rows}) <= 600
    assert len({row["registryIdentifier"] for row in rows}) == 12
    window = PUSHES_KEPT * PUSH_INTERVAL * 1000
    pushes = [row for row in rows if milliseconds(row) > now * 1000 - window]
    assert PUSHES_KEPT - 1 <= len([row for row in pushes if milliseconds(row) <= now * 1000]) <= PUSHES_KEPT + 1


@at_any_time
def test_every_status_mode_and_risk_is_there(now):
    """Whatever the time, there is something to see of everything that the metrics tell apart."""
    rows = everything(now)
    scanned = [row for row in rows if row["packageType"] in SCANNED_TYPES and row.get("registryType") == "UPSTREAM"]
    assert {row.get("scanStatus") for row in scanned} == {"ALLOWED", "WARN", "BLOCKED", None}
    assert {row.get("scanStatus") for row in rows if row not in scanned} == {None}
    assert {row.get("registryType") for row in rows} == {"VIRTUAL", "UPSTREAM", None}
    block = set() if WEAKENING.includes(now) else {"BLOCK"}
    assert {row.get("firewallMode") for row in rows} == {"ENABLED", "QUARANTINE", "ALLOW", "WARN", None} | block
    quarantined = [row for row in rows if row.get("isQuarantined")]
    assert {bool(row.get("quarantineReason")) for row in quarantined} == {True, False}
    assert {row["packageType"] in SCANNED_TYPES for row in quarantined} == {True, False}
    for risky in quarantined, [row for row in rows if row.get("scanStatus") == "BLOCKED" and row not in quarantined]:
        assert any(row["deploymentMetadata"]["prodEnvCount"] for row in risky if "deploymentMetadata" in row)
    assert {"deploymentMetadata" in row for row in rows} == {True, False}


@at_any_time
def test_a_firewall_quarantines_what_it_should(now):
    """Modes that enforce quarantine what is blocked, which stays so if the mode is weakened; others let it through."""
    modes = {}
    for row in everything(now):
        modes.setdefault(row["registryIdentifier"], set()).add(row.get("firewallMode"))
        if row.get("scanStatus") == "BLOCKED":
            enforced = row.get("firewallMode") in {"ENABLED", "QUARANTINE"} or row["registryIdentifier"] == WEAKENED
            assert row["isQuarantined"] is enforced
    assert all(len(mode) == 1 for mode in modes.values())
    assert modes["nuget-org"] == {"ALLOW"}
    assert modes["crates-io"] == {None}


@at_any_time
def test_the_quirks_of_real_answers_are_there(now):
    """Everything that a client of the real API must survive occurs in the demo."""
    rows = everything(now)
    for field in "latestVersion", "registryPath", "uuid", "registryUUID":
        assert {"full" if row.get(field) else row.get(field) for row in rows} >= {"full", ""}
    for field in "latestVersion", "uuid", "registryUUID", "registryPath", "isQuarantined", "registryType":
        assert any(field not in row for row in rows)
    assert all(row["name"] and row["registryIdentifier"] and row["version"] for row in rows)
    assert {type(row["lastModified"]) for row in rows} == {str, int}
    assert {type(row.get("lastScannedAt")) for row in rows} == {str, int, type(None)}
    assert [row["lastModified"] for row in rows].count(ZERO_TIME) == 1
    assert sum("deletedAt" in row for row in rows) == 1
    assert any(row["labels"] is None for row in rows)
    assert any("scannedDigest" in row for row in rows)
    assert any("tags" in row.get("metadata", ()) for row in rows)
    assert any(row.get("artifactType") == "model" for row in rows)
    assert "TERRAFORM" in {row["packageType"] for row in rows}
    assert any("fileCount" in row for row in rows)
    assert any("digestCount" in row for row in rows)
    assert any(row.get("purl") == "pkg:npm/lodash@4.17.21" for row in rows)
    assert any(row.get("purl", "").startswith("pkg:npm/%40types/node@") for row in rows)
    assert any(row["pullCommand"] == "docker pull pkg.example.com/demo/docker-prod/storefront:4.8.0" for row in rows)


@at_any_time
def test_versions_fan_out_by_the_reasons_of_their_quarantine(now):
    """Rows of one version differ in the reason alone, and only quarantined ones come more than once."""
    rows = everything(now)
    several = {key for key, count in Counter(map(identity, rows)).items() if count > 1}
    assert len(several) == 2
    for key in several:
        again = [dict(row) for row in rows if identity(row) == key]
        assert len({row.pop("quarantineReason", None) for row in again}) == len(again)
        assert all(row == again[0] for row in again)
        assert again[0]["isQuarantined"]


@at_any_time
def test_the_tags_of_an_image_share_uuid_and_downloads(now):
    """One uuid and one count for each image, one of each for every version elsewhere."""
    shared, own = {}, Counter()
    for row in everything(now):
        if row["packageType"] in {"DOCKER", "HELM"}:
            shared.setdefault(identity(row)[:3], set()).add((row["uuid"], row["downloadsCount"]))
        elif row.get("uuid") and not row["isQuarantined"]:
            own[row["uuid"]] += 1
    assert all(len(values) == 1 for values in shared.values())
    assert set(own.values()) == {1}


@at_any_time
def test_scans_are_fresh_and_stale_and_never_before_the_push_or_ahead(now):
    """Between any two of 0, 7, 30 and 90 days there is a scan; no time lies ahead."""
    rows = everything(now)
    scans = [row for row in rows if "lastScannedAt" in row]
    assert all(milliseconds(row) <= milliseconds(row, "lastScannedAt") <= now * 1000 for row in scans)
    assert all(milliseconds(row) <= now * 1000 for row in rows)
    ages = [now - milliseconds(row, "lastScannedAt") / 1000 for row in scans]
    for youngest, oldest in ((0, 7), (7, 30), (30, 90), (90, 366)):
        assert any(youngest * DAY < age <= oldest * DAY for age in ages)


@at_any_time
def test_a_quarantine_in_production_comes_and_goes(now):
    """For the announced part of each cycle the announced artifact is quarantined, otherwise warned of."""
    quarantined = now % 600 < 360
    (row,) = [row for row in listing("demo", now) if identity(row) == (CYCLING[0], "MAVEN", *CYCLING[1:])]
    assert row["deploymentMetadata"]["prodEnvCount"] > 0
    assert row["isQuarantined"] is quarantined
    assert row["scanStatus"] == ("BLOCKED" if quarantined else "WARN")
    assert ("quarantineReason" in row) is quarantined


@at_any_time
def test_pushes_come_one_by_one(now):
    """Two minutes later one to three artifacts are new, one to three are gone, and all else is still there."""
    before, after = ({identity(row) for row in everything(moment)} for moment in (now, now + 2 * PUSH_INTERVAL))
    assert 1 <= len(after - before) <= 3
    assert 1 <= len(before - after) <= 3


def test_pushes_reach_every_space():
    """Within an hour each of the spaces sees a push, and a scanned registry one without a verdict yet."""
    moments = [NOW + minute * PUSH_INTERVAL for minute in range(60)]
    listed = {space: [listing(space, moment) for moment in moments] for space in SPACES}
    assert all(len({max(map(milliseconds, rows)) for rows in listings}) > 1 for listings in listed.values())
    canaries = [row for rows in listed["demo"] for row in rows if "canary" in row["version"]]
    assert {row.get("scanStatus") for row in canaries} == {"ALLOWED", None}


def test_some_downloads_grow_one_of_a_quarantined_artifact():
    """Counts of a few artifacts grow with time, all others stand still, and none falls."""
    before, after = ({identity(row): row for row in everything(moment)} for moment in (NOW, NOW + QUARANTINE.period))
    grown = {key: after[key]["downloadsCount"] - row["downloadsCount"] for key, row in before.items() if key in after}
    downloaded = {key[2] for key, growth in grown.items() if growth}
    assert downloaded == {"storefront", "lodash", "org.apache.logging.log4j:log4j-core"}
    assert all(growth >= 0 for growth in grown.values())
    assert any(growth and before[key]["isQuarantined"] for key, growth in grown.items())
