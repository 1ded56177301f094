"""A release: one version everywhere, and files that hold what they should and nothing else."""

import os
import re
import subprocess
import tarfile
import zipfile

import pytest
import yaml
from packaging.metadata import Metadata

import exporter
from tests.support.places import ROOT

NAME = "harness-artifact-registry-exporter"
STEM = f"{NAME.replace('-', '_')}-{exporter.__version__}"
KINDS = {".py", ".j2", ".css"}
MODULES = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*") if path.suffix in KINDS}


# Without the coverage of the build backend, which takes longer than the build.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def make(*arguments):
    command = ["make", "--silent", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def build(folder):
    """Build in a folder, and return wheel and source distribution."""
    built = make("dist", f"PACKAGES={folder}", "SOURCE_DATE_EPOCH=1800000000")
    assert built.returncode == 0, built.stderr
    return folder / f"{STEM}-py3-none-any.whl", folder / f"{STEM}.tar.gz"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


def test_the_version_is_semantic_and_the_same_everywhere():
    version = exporter.__version__
    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version)
    chart = yaml.safe_load((ROOT / "helm" / "har-exporter" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert set(re.findall(r"har-exporter:(\d[\w.]*)", (ROOT / "README.md").read_text())) == {version}
    assert make("version").stdout == f"{version}\n"


def test_the_changelog_ends_at_the_version():
    """Above the newest release stands what is not released yet, if anything."""
    headings = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings in (released, ["Unreleased", *released])
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", heading) for heading in released)
    assert released[:1] in ([], [heading for heading in released if heading.startswith(f"{exporter.__version__} ")])


def test_the_notes_are_what_the_changelog_says_of_the_version(tmp_path):
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        "# Changelog\n\n## Unreleased\n\n- c\n\n## 1.2.0 - 2026-12-01\n\n- b\n\n## 1.1.0 - 2026-11-01\n\n- a\n"
    )
    for version, notes in ("1.2.0", "- b"), ("1.1.0", "- a"):
        assert make("notes", f"PACKAGES={tmp_path}", f"CHANGELOG={changelog}", f"VERSION={version}").returncode == 0
        assert (tmp_path / "notes.md").read_text().strip() == notes


@pytest.mark.parametrize("version", ["1.3.0", "1.2", "1.2.0-rc1"])
def test_a_version_that_the_changelog_does_not_know_is_not_released(tmp_path, version):
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("## 1.2.0 - 2026-12-01\n\n- b\n")
    assert make("notes", f"PACKAGES={tmp_path}", f"CHANGELOG={changelog}", f"VERSION={version}").returncode != 0


def test_the_wheel_holds_the_package_and_valid_metadata(built):
    with zipfile.ZipFile(built[0]) as wheel:
        files = set(wheel.namelist())
        metadata = Metadata.from_email(wheel.read(f"{STEM}.dist-info/METADATA"), validate=True)
        scripts = wheel.read(f"{STEM}.dist-info/entry_points.txt").decode()
    assert {name for name in files if ".dist-info/" not in name} == MODULES
    assert (metadata.name, str(metadata.version)) == (NAME, exporter.__version__)
    assert (metadata.license_expression, metadata.license_files) == ("Apache-2.0", ["LICENSE"])
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text()
    assert scripts.split() == ["[console_scripts]", "har-exporter", "=", "exporter.__main__:main"]


def test_the_source_distribution_holds_what_the_wheel_is_built_from(built):
    with tarfile.open(built[1]) as source:
        files = {name.removeprefix(f"{STEM}/") for name in source.getnames()}
    others = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert files == MODULES | others


def test_equal_commits_make_equal_bytes(built, tmp_path):
    again = build(tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
RELEASING = (ROOT / "docs" / "releasing.md").read_text()


def scripts(job):
    return "\n".join(step.get("run", "") for step in RELEASE[job]["steps"])


def test_all_that_is_signed_or_attested_is_verified_before_the_release_is_public():
    """The release is a draft until the last step of the last job."""
    published, verified = scripts("publish"), scripts("verify")
    assert re.findall(r"cosign (sign(?:-blob)?) ", published) == ["sign", "sign", "sign-blob"]
    assert re.findall(r"cosign (verify(?:-blob)?) ", verified) == ["verify", "verify-blob"]
    assert 'for subject in "$IMAGE" "$CHART"' in verified
    signed, checked = re.search(r"for file in (.*);", published), re.search(r"for file in (.*);", verified)
    assert signed[1] == checked[1]
    attested = [step["with"] for step in RELEASE["publish"]["steps"] if "actions/attest@" in step.get("uses", "")]
    assert sum("sbom-path" in one for one in attested) == 2
    assert len([one for one in attested if "sbom-path" not in one]) == 3
    assert len(re.findall("gh attestation verify", verified)) == 3
    assert "--draft " in published
    assert RELEASE["verify"]["steps"][-1]["run"].endswith("--draft=false")
    assert set(RELEASE) == {"packages", "image", "publish", "run", "verify"}
    assert RELEASE["verify"]["needs"] == ["publish", "run"]


def test_the_image_is_built_and_run_on_two_architectures():
    built = [(one["architecture"], one["runner"]) for one in RELEASE["image"]["strategy"]["matrix"]["include"]]
    assert [name for name, _ in built] == ["amd64", "arm64"]
    assert RELEASE["run"]["strategy"]["matrix"]["runner"] == [runner for _, runner in built]
    assert "for architecture in amd64 arm64" in scripts("publish")


def test_users_verify_with_the_commands_of_the_workflow():
    flags = re.compile(r"(?:cosign|gh attestation) verify[a-z-]*|--[a-z-]+")
    shown = set(flags.findall(RELEASING.partition("## Verify a release")[2]))
    assert shown
    assert shown <= set(flags.findall(scripts("verify")))


def test_the_base_images_are_named_where_renovate_and_the_release_find_them():
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^ARG (BUILD_BASE|BASE)=(\S+)$", dockerfile, re.MULTILINE)
    assert [name for name, _ in bases] == re.findall("for base in (.*); do", scripts("image"))[0].split()
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BUILD_BASE}", "${BASE}"}
    assert yaml.safe_load((ROOT / "renovate.json").read_text())["pinDigests"] is True
