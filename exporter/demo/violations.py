"""Violations of the demo: what its firewalls blocked or warned of, packages that never entered a registry included."""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.demo.artifacts import Row, rows_of
from exporter.demo.catalogue import PURL, Key, RegistrySpec, registries_at
from exporter.demo.cycles import REFUSAL
from exporter.demo.derived import derived_number, derived_uuid

_HOUR = 3_600.0
_STATUSES = ("BLOCKED", "WARN")


class Verdict(NamedTuple):
    """Why a version is a violation.

    Attributes:
        categories: `securityViolationCategories`.
        policy_sets: names of the policy sets.
        exemption: `exemptionStatus`; None if nobody asked for an exemption.
    """

    categories: tuple[str, ...]
    policy_sets: tuple[str, ...]
    exemption: str | None = None


_MALICIOUS = Verdict(("MaliciousPackage",), ("no-malware",))
_VULNERABLE = Verdict(("Security",), ("no-critical-cves",))

# By registry, name and version; other blocked versions are vulnerable.
_VERDICTS = {
    ("npm-remote", "lodash", "4.17.20"): _VULNERABLE._replace(exemption="APPROVED"),
    ("npm-remote", "event-stream", "3.3.6"): _MALICIOUS,
    ("npm-remote", "ua-parser-js", "0.7.29"): Verdict(
        ("MaliciousPackage", "PackageAge"), ("no-malware", "at-least-14-days-old")
    ),
    ("npm-remote", "colors", "1.4.44"): _MALICIOUS._replace(exemption="REJECTED"),
    ("npm-preview", "rc", "1.2.9"): _MALICIOUS,
    ("maven-central", "org.apache.logging.log4j:log4j-core", "2.14.1"): _VULNERABLE._replace(exemption="EXPIRED"),
    ("pypi-remote", "torchtriton", "3.0.0"): _MALICIOUS,
    ("pypi-remote", "ctx", "0.2.6"): _MALICIOUS,
    ("pypi-remote", "setuptools", "65.5.0"): Verdict(("License",), ("known-licenses",), "PENDING"),
    ("crates-io", "rustdecimal", "1.23.1"): _MALICIOUS,
}
# Of the other versions that were warned of.
_WARNINGS = (
    Verdict(("OssRiskLevel",), ("maintained-projects",)),
    Verdict(("License",), ("known-licenses",), "PENDING"),
    Verdict(("PackageAge",), ("at-least-14-days-old",)),
    Verdict(("Security", "OssRiskLevel"), ("no-critical-cves", "maintained-projects")),
)
REFUSED = {
    Key("npm-remote", "crossenv", "6.1.1"): _MALICIOUS,
    Key("pypi-remote", "colourama", "0.1.6"): _MALICIOUS._replace(exemption="REJECTED"),
    Key("maven-central", "com.itextpdf:itextpdf", "5.5.13.4"): Verdict(("License",), ("known-licenses",), "PENDING"),
    Key("go-proxy", "github.com/boltdb-go/bolt", "v1.3.1"): Verdict(
        ("MaliciousPackage", "OssRiskLevel"), ("no-malware", "maintained-projects")
    ),
}
"""Packages that never entered a registry, as their first request was refused."""

REFUSED_AT_TIMES = Key("npm-remote", "node-ipc", "10.1.1")
"""Package that never entered, and whose violation comes and goes."""


def violations(now: float) -> list[Row]:
    """Return the violations of all spaces at a time, in seconds since the Unix epoch.

    Every version with the scan status BLOCKED or WARN is one, even if the firewall of its registry lets it through.
    Each row has the `path` of its registry.
    """
    return [row for registry in registries_at(now) for row in (*_entered(registry, now), *_refused(registry, now))]


def _entered(registry: RegistrySpec, now: float) -> Iterator[Row]:
    # A version with several quarantine reasons is listed once for each.
    rows = {row["scanId"]: row for row in rows_of(registry, now) if row.get("scanStatus") in _STATUSES}
    for row in rows.values():
        key = Key(registry.name, row["name"], row["version"])
        yield _row(registry, key, row["scanStatus"], _verdict(key, row["scanStatus"])) | {
            "purl": row["purl"],
            "lastEvaluatedAt": row["lastScannedAt"],
        }


def _refused(registry: RegistrySpec, now: float) -> Iterator[Row]:
    refused = {key: (verdict, now // _HOUR * _HOUR) for key, verdict in REFUSED.items()}
    if REFUSAL.includes(now):
        refused[REFUSED_AT_TIMES] = _MALICIOUS, REFUSAL.began(now)
    for key, (verdict, evaluated) in refused.items():
        if key.registry == registry.name:
            yield _row(registry, key, "BLOCKED", verdict) | {
                "purl": f"pkg:{PURL[registry.package_type]}/{key.name.replace(':', '/')}@{key.version}",
                "lastEvaluatedAt": str(int(evaluated * 1000)),
            }


def _verdict(key: Key, status: str) -> Verdict:
    usual = _VULNERABLE if status == "BLOCKED" else _WARNINGS[derived_number("warning", *key) % len(_WARNINGS)]
    return _VERDICTS.get(key, usual)


def _row(registry: RegistrySpec, key: Key, status: str, verdict: Verdict) -> Row:
    _, *names = registry.space.split("/")
    exemption = {"exemptionStatus": verdict.exemption} if verdict.exemption else {}
    return (
        exemption
        | dict(zip(("RegistryOrgId", "RegistryProjectId"), names, strict=False))
        | {
            "id": derived_uuid("violation", *key),
            "packageName": key.name,
            "version": key.version,
            "packageType": registry.package_type,
            "registryId": derived_uuid(registry.name),
            "registryName": registry.name,
            "scanStatus": status,
            "securityViolationCategories": list(verdict.categories),
            "policySets": [{"policySetName": name, "policySetRef": name} for name in verdict.policy_sets],
            "lastEvaluatedBy": "firewall",
            "path": f"{registry.space}/{registry.name}",
        }
    )
