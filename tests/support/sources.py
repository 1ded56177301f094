"""Registries and violations as the API lists them, and the bodies of their pages."""

import json

from tests.support.upstream import ABSENT

NOW = 1_790_000_000.0


def registry_row(number=0, **fields):
    """Return a registry that is valid in every respect."""
    row = {
        "identifier": f"registry-{number}",
        "uuid": f"uuid-{number}",
        "type": "UPSTREAM",
        "packageType": "NPM",
        "path": f"acct/org/p{number % 3}/registry-{number}",
        "artifactsCount": number,
        "registrySize": "1.50KB",
        "isPublic": False,
    }
    return {name: value for name, value in (row | fields).items() if value is not ABSENT}


def violation_row(number=0, **fields):
    """Return a violation that is valid in every respect; the lower number was evaluated later."""
    row = {
        "id": f"id-{number}",
        "packageName": f"package-{number}",
        "version": "1.0.0",
        "packageType": "NPM",
        "purl": f"pkg:npm/package-{number}@1.0.0",
        "registryId": f"uuid-{number % 3}",
        "registryName": f"registry-{number % 3}",
        "RegistryOrgId": "org",
        "RegistryProjectId": f"p{number % 3}",
        "scanStatus": "BLOCKED",
        "securityViolationCategories": ["Security"],
        "policySets": [{"policySetName": "policy", "policySetRef": "policy"}],
        "exemptionStatus": "PENDING",
        "lastEvaluatedAt": str(int(NOW * 1000) - number * 1000),
    }
    return {name: value for name, value in (row | fields).items() if value is not ABSENT}


def registries_body(rows, **data):
    return json.dumps({"status": "SUCCESS", "data": {"registries": rows, **data}}).encode()


def violations_body(rows, **fields):
    return json.dumps({"data": rows, **fields}).encode()


def passing(*spaces):
    """Return the filters of spaces that include every registry."""
    return dict.fromkeys(map(str.lower, spaces), lambda _: True)
