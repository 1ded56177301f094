"""What contributors get is sound: targets of make, hooks, forms and workflows."""

import re
import subprocess
import sys
from pathlib import Path

import check_jsonschema
import pytest
import yaml
from click.testing import CliRunner

from tests.support.places import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^\.PHONY: ([\w-]+)$", MAKEFILE, re.MULTILINE)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
BIN = Path(sys.executable).parent


def jobs():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield pytest.param(job, id=f"{path.stem}-{name}")


def test_make_help_tells_of_every_target_in_one_line():
    command = ["make", "--no-print-directory", "help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [re.match(r"make ([\w-]+) +(\S.*)$", line) for line in told.splitlines()]
    assert all(lines)
    assert [line[1] for line in lines] == TARGETS
    assert len({line.start(2) for line in lines}) == 1, "a name is longer than its column"
    assert max(map(len, told.splitlines())) <= 120


def test_every_target_that_makes_no_file_of_its_name_is_phony():
    assert set(re.findall(r"^([a-z-]+):(?!=).*##", MAKEFILE, re.MULTILINE)) == set(TARGETS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_of_make_that_a_workflow_names_exists(path):
    commands = re.findall(r"(?:run: |\(|  )make ([\w= -]+)", path.read_text())
    assert commands
    named = {word for command in commands for word in command.split() if "=" not in word and not word.startswith("-")}
    assert named <= set(TARGETS)


def test_hooks_are_the_lines_of_make_lint():
    """What a commit is held to is what a merge is held to, with the same tools."""
    config = ROOT / ".pre-commit-config.yaml"
    subprocess.run([BIN / "pre-commit", "validate-config", config], check=True)
    (repo,) = yaml.safe_load(config.read_text())["repos"]
    assert repo["repo"] == "local"
    recipe = re.search(r"^lint: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    lines = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in repo["hooks"]] == lines
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repo["hooks"])


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [ROOT / ".github/ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", [ROOT / ".github/dependabot.yml"]),
    ],
)
def test_what_github_reads_is_valid(schema, paths):
    assert paths
    checked = CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", f"vendor.{schema}", *map(str, paths)])
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_and_say_which_version_it_is(path):
    uses = re.findall(r"uses: (.*)", path.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"(actions|sigstore)/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_version_in_all_workflows():
    uses = {action for path in WORKFLOWS for action in re.findall(r"uses: (.*)", path.read_text())}
    assert len(uses) == len({action.partition("@")[0] for action in uses})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_but_what_a_job_asks_for(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {}


@pytest.mark.parametrize("job", list(jobs()))
def test_every_job_ends_in_time_and_says_what_it_may_do(job):
    assert job["timeout-minutes"] <= 90
    assert job["permissions"]["contents"] in {"read", "write"}


def test_only_the_release_may_write():
    allowed = {
        value
        for path in WORKFLOWS
        if path.stem != "release"
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for value in job["permissions"].values()
    }
    assert allowed == {"read"}
