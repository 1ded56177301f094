"""Everything that the exporter shows of the demo's registries and violations equals a plain count of the estate."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.demo.catalogue import PREVIEWED, SPACES
from exporter.demo.estate import DEMO
from exporter.demo.server import KEY, Registry
from exporter.engine.app import App
from exporter.metrics.source_families import LISTED_FAMILIES
from tests.support.apps import settled
from tests.support.asking import milliseconds
from tests.support.clocks import FakeClock
from tests.support.settings import settings_of

START = 1_800_000_000.0 + 130.0  # the project is there, and so is the violation that comes and goes
LATER = 901.0  # both are gone, and the firewall is weakened
UNITS = {"MB": 2**20, "GB": 2**30}


def registry_of(row):
    """Return space, registry and package type of a row of either listing."""
    space, _, registry = row["path"].rpartition("/")
    return space, registry, row.get("packageType", "UNKNOWN")


def of_registries(rows):
    """Return what the metrics should show of registries, by name and labels."""
    for row in rows:
        registry = registry_of(row)
        if row["type"] == "UPSTREAM":
            yield ("har_registry_firewall", *registry, row["config"].get("firewallMode", "NONE")), 1
        yield ("har_registry_public", *registry), row["isPublic"]
        yield ("har_registry_packages", *registry), row.get("artifactsCount", 0)
        if "registrySize" in row:
            number, unit = row["registrySize"].split()
            yield ("har_registry_size_bytes", *registry), round(float(number) * UNITS[unit])


def of_violations(rows):
    """Return what the metrics should show of violations, by name and labels."""
    found = Counter()
    for row in rows:
        registry, status, exemption = registry_of(row), row["scanStatus"], row.get("exemptionStatus", "NONE")
        policies = ",".join(sorted(policy["policySetName"] for policy in row["policySets"]))
        categories = sorted(row["securityViolationCategories"])
        texts = row["packageName"], row["version"], status, exemption, ",".join(categories), policies, row["purl"]
        newest = "har_firewall_violation_newest_timestamp_seconds", *registry
        found["har_firewall_violations", *registry, status, exemption] += 1
        found.update(("har_firewall_violations_by_category", *registry, category) for category in categories)
        found["har_firewall_violation_info", *registry, *texts] = 1
        found[newest] = max(found[newest], milliseconds(row, "lastEvaluatedAt") / 1000)
        for series in (
            ("har_firewall_violations", *registry, "BLOCKED", "NONE"),
            ("har_firewall_violations", *registry, "WARN", "NONE"),
            ("har_firewall_violations_dropped", registry[0]),
        ):
            found[series] += 0
    return found


def shown(text):
    """Return the samples of the families that the two listings fill, by name and labels."""
    labels = {family.name: family.labels for family in LISTED_FAMILIES}
    return {
        (sample.name, *(sample.labels[label] for label in labels[sample.name])): sample.value
        for family in parse(text)
        if family.name in labels
        for sample in family.samples
    }


def test_the_families_of_registries_and_violations_equal_a_plain_count():
    """With all spaces of the demo by the name of its account alone, while a project comes and goes."""
    clock = FakeClock(START)
    with Registry(now=clock.time) as registry:
        app = App(settings_of(base_url=registry.url, api_key=KEY, spaces="demo/**", rate_limit="off"), clock)
        for spaces in {*SPACES, PREVIEWED}, {*SPACES}:
            page = settled(app)
            now = clock.time()
            assert shown(page) == dict(of_registries(DEMO.registries(now))) | dict(of_violations(DEMO.violations(now)))
            assert {space for space in (*SPACES, PREVIEWED) if f'har_up{{space="{space}"}} 1.0' in page} == spaces
            assert f'har_discovered_spaces{{space="demo/**"}} {len(spaces) - 1}.0' in page
            clock.tick(LATER)
