"""What the exporter is made of: pinned, told, and free of what is known to be unsafe."""

import json
import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import exporter
from tests.support.places import ROOT

LISTS = sorted((ROOT / "requirements").glob("*.txt"))
"""Every list of pinned dependencies."""


def pinned(path):
    """Return name and version of each line of a list of pinned dependencies."""
    return {
        name.lower().replace("_", "-"): Version(version)
        for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", path.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_every_dependency_is_pinned_with_a_hash_and_without_an_index(path):
    joined = path.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line[:80]
    assert "://" not in joined


@pytest.mark.parametrize(("name", "groups"), [("run.txt", ()), ("dev.txt", ("test", "dev")), ("fuzz.txt", ("fuzz",))])
def test_pinned_versions_are_what_pyproject_allows(name, groups):
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    have = pinned(ROOT / "requirements" / "run.txt") | pinned(ROOT / "requirements" / name)
    named = [line for group in groups for line in pyproject["dependency-groups"][group] if isinstance(line, str)]
    for requirement in map(Requirement, [*pyproject["project"]["dependencies"], *named]):
        assert requirement.specifier.contains(have[requirement.name.lower()]), requirement


def test_tests_run_over_the_same_versions_as_the_image():
    run, dev = pinned(ROOT / "requirements" / "run.txt"), pinned(ROOT / "requirements" / "dev.txt")
    assert run.items() <= dev.items()


@pytest.mark.long
def test_the_bill_of_materials_names_the_exporter_and_all_that_it_installs(tmp_path):
    """Each package stands with its version and the packages it needs; the file is the same each time."""
    subprocess.run(["make", "sbom", f"SBOM={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "har-exporter.cdx.json").read_text())
    subject = bill["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("harness-artifact-registry-exporter", exporter.__version__)
    told = {part["name"].lower().replace("_", "-"): Version(part["version"]) for part in bill["components"]}
    assert told == pinned(ROOT / "requirements" / "run.txt")
    needs = {node["ref"]: node.get("dependsOn", []) for node in bill["dependencies"]}
    assert any(ref.startswith("requests==") for ref in needs["root-component"])
    assert str(tmp_path) not in json.dumps(bill)
