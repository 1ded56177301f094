"""What documents say is so: their names exist, their links lead somewhere, their blocks of code do what they show."""

import re
import subprocess
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest
import yaml

from exporter.config.settings import Settings, default_text
from exporter.config.sources import load
from exporter.metrics.exposition import FAMILIES
from exporter.texts import read_duration
from exporter.webconfig.file import parse
from tests.support.commands import free_port, run, served
from tests.support.markdown import Block, anchors, blocks, code, commands, documents, expressions, links
from tests.support.places import ROOT
from tests.support.programs import find
from tests.support.rules import RECORDS, RULE_FILE, metrics_in
from tests.support.sessions import Stage
from tests.support.sources import registry_row
from tests.support.upstream import Upstream, make_rows
from tools.tables import PARTS, render

DOCUMENTS = [path for path in documents() if path.name != "CHANGELOG.md"]
BLOCKS = [block for path in DOCUMENTS if ".github" not in path.parts for block in blocks(path)]

NORMAL = {
    r"ts=\S+": "ts=TIME",
    r"duration=\S+": "duration=SECONDS",
    r"\d+\.\d\ds\b": "SECONDS",
    r"host=\S+ port=\d+": "ADDRESS",
    r"(version=|har-exporter )\d+\.\d+\.\d+\S*": r"\1VERSION",
    r"(?:localhost|127\.0\.0\.1):\d+": "ADDRESS",
    r" +": " ",
}
"""What no two runs have in common, and what stands for it when the output of a run is compared with a document."""

NOT_RUN = "not run here"
SERVES = "serves"


def of_kind(*kinds: str):
    """Parametrize a test by all blocks of these kinds."""
    chosen = [block for block in BLOCKS if block.kind in kinds]
    return pytest.mark.parametrize("block", chosen, ids=[block.place for block in chosen])


def of_documents():
    return pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_code(path):
    assert render(path, PARTS[path]) == path.read_text(), "run `make readme`"


@of_documents()
def test_every_metric_that_a_document_names_exists(path):
    text = path.read_text()
    assert metrics_in(text) - {family.name for family in FAMILIES} == set()
    assert set(re.findall(r"\b\w+:har_\w+:\w+", text)) <= RECORDS.keys()


@of_documents()
def test_every_variable_that_a_document_names_is_a_setting(path):
    variables = set(re.findall(r"HAR_EXPORTER_([A-Z_]+)", path.read_text())) - {"CONFIG"}
    assert {name.lower() for name in variables} <= Settings.model_fields.keys()


@of_documents()
def test_every_file_and_target_of_make_that_a_document_names_exists(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in code(path):
        if re.fullmatch(r"(exporter|tests|tools|docs|grafana|helm|image|benchmarks)/[\w./*-]+|\w+\.(toml|yaml)", name):
            assert any([*ROOT.glob(name), *path.parent.glob(name), *(ROOT / "grafana").glob(f"*/{name}")]), name
        if name.startswith("make "):
            assert name.split()[1] in targets, name


@of_documents()
def test_every_link_leads_somewhere(path):
    for target in links(path):
        if target.startswith("http"):
            assert re.match(r"https://([a-z0-9-]+\.)+[a-z]{2,}(/|#|$)|http://localhost:", target), target
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_linked_from_another_one():
    linked = {(path.parent / target.partition("#")[0]).resolve() for path in DOCUMENTS for target in links(path)}
    own = {path for path in DOCUMENTS if {"docs", "runbooks"} & set(path.parts[len(ROOT.parts) :])}
    assert own - linked == set()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Stand a demo, an account with three spaces, its key, and folders to write to behind the names of documents."""
    folder = tmp_path_factory.mktemp("stage")
    for name in ("home", "har-exporter", "node_exporter"):
        (folder / name).mkdir()
    rows = make_rows(120)
    for row in rows[:2]:
        row["isQuarantined"] = True
    spaces = {"my_account": rows, "my_account/my_org": make_rows(45), "my_account/my_org/my_project": make_rows(7)}
    registries = [registry_row(path=f"{space}/npm-remote", identifier="npm-remote") for space in spaces]
    upstream = Upstream(spaces, registries=registries, key="sat.my_account.id.secret")
    with served("demo") as (_, url), upstream:
        for file in ("token.txt", "home/key", "har-exporter/key"):
            (folder / file).write_text(f"{upstream.key}\n")
        yield Stage(
            {
                "localhost:10981": url.removeprefix("http://"),
                "~/.config/har-exporter": str(folder / "home"),
                "/etc/har-exporter": str(folder / "har-exporter"),
                "/var/lib/node_exporter": str(folder / "node_exporter"),
                "token.txt": str(folder / "token.txt"),
            },
            {"HAR_EXPORTER_BASE_URL": upstream.url, "HAR_EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}"},
        )


def test_every_block_is_of_a_kind_that_is_checked():
    kinds = {"console", "yaml", "promql", "mermaid", "ini"}
    others = [block.place for block in BLOCKS if block.kind not in kinds]
    assert others == [], "make it one of these kinds; a command with its output is `console`"


def test_every_note_above_a_block_is_one_that_means_something():
    notes = {f"{block.place}: {block.note}" for block in BLOCKS if block.note}
    assert {note for note in notes if not re.search(rf": ({NOT_RUN}|{SERVES}): |: begin ", note)} == set()


@of_kind("console")
def test_commands_do_what_is_shown(block, stage):
    reason = block.noted(NOT_RUN)
    if reason:
        assert commands(block)
        pytest.skip(f"{block.place} is {NOT_RUN}: {reason}")  # which lists it: no block is left out in silence
    if block.noted(SERVES):
        with stage.serving(block) as (command, lines):
            assert printed(lines, command.shown)
        return
    told = stage.run(block)
    for (command, status, output), following in zip(told, [*told[1:], None], strict=True):
        shows_status = following is not None and following[0].line == "echo $?"
        assert status == 0 or shows_status, f"{command.line}\n{output}"
        assert not command.shown or printed(output.splitlines(), command.shown), f"{command.line}\n{output}"


def printed(lines, shown: str) -> bool:
    """Whether these lines are printed, as far as they are shown; `...` stands for any number of them."""
    expected = [normal(line) for line in shown.splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in expected)
    text = ""
    for line in lines:
        text += normal(line) + "\n"
        if expected[-1] == "..." and re.match(pattern, text):
            return True
    return re.fullmatch(pattern, text) is not None


def normal(line: str) -> str:
    for pattern, name in NORMAL.items():
        line = re.sub(pattern, name, line)
    return line.strip()


@pytest.mark.parametrize(
    ("lines", "shown", "same"),
    [
        (["a", "b"], "a\nb", True), (["a", "b"], "a", False), (["a"], "a\nb", False), (["b", "a"], "a\nb", False),
        (["a", "b", "c"], "a\n...\nc", True), (["a", "c"], "a\n...\nc", True), (["a", "b"], "a\n...", True),
        (["took 0.12s  ok"], "took 3.45s ok", True), (["took 0.12s"], "took 3.45s ok", False),
    ],
)  # fmt: skip
def test_output_is_as_shown_or_not(lines, shown, same):
    assert printed(lines, shown) == same


@cache
def values() -> frozenset[str]:
    return frozenset(yaml.safe_load((ROOT / "helm/har-exporter/values.yaml").read_text()))


@of_kind("yaml")
def test_yaml_is_taken_by_the_program_that_it_is_for(block, tmp_path):
    names = yaml.safe_load(block.text).keys()
    for known, check in YAML_FOR.items():
        if names <= known:
            check(block, tmp_path)
            return
    assert names <= values(), f"{block.place}: no program is known for this"  # tests/chart renders them


def for_prometheus(block: Block, folder: Path) -> None:
    (folder / RULE_FILE.name).write_text(RULE_FILE.read_text())
    for name in re.findall(r"\w_file: (\S+)", block.text):
        (folder / name).touch()
    accepted([find("promtool"), "check", "config"], folder / "prometheus.yml", block.text)
    for job in yaml.safe_load(block.text).get("scrape_configs", ()):
        assert job["honor_labels"], "a target label `version` would replace those of artifacts"


def for_the_collector(block: Block, folder: Path) -> None:
    """The receiver takes a Prometheus configuration; every component is in use, and every one in use is there."""
    collector = yaml.safe_load(block.text)
    config = collector["receivers"]["prometheus"]["config"]
    for_prometheus(block._replace(text=yaml.safe_dump(config)), folder)
    for job in config["scrape_configs"]:
        assert read_duration(job["scrape_timeout"]) <= read_duration(job["scrape_interval"])
        ports = {target.rpartition(":")[2] for static in job["static_configs"] for target in static["targets"]}
        assert ports == {default_text("listen_address").rpartition(":")[2]}
        assert job.get("metrics_path", "/metrics") == "/metrics"
    used = {kind: set() for kind in ("receivers", "processors", "exporters")}
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in used.items():
            names.update(pipeline[kind])
    assert used == {kind: set(collector[kind]) for kind in used}


def for_the_exporter(block: Block, folder: Path) -> None:
    text = re.sub(r"/etc/har-exporter(?=/)", str(folder), block.text)
    for path in re.findall(rf"{re.escape(str(folder))}/\S+", text):
        Path(path).write_text("sat.my_account.id.secret")
    (folder / "settings.yaml").write_text(text)
    load({"config": str(folder / "settings.yaml")}, {} if "spaces:" in text else {"HAR_EXPORTER_SPACES": "my_account"})


def for_the_endpoints(block: Block, folder: Path) -> None:
    parse(block.text.encode(), folder / "web.yaml")


YAML_FOR = {
    frozenset({"global", "rule_files", "scrape_configs", "alerting"}): for_prometheus,
    frozenset({"receivers", "processors", "exporters", "service"}): for_the_collector,
    frozenset(Settings.model_fields): for_the_exporter,
    frozenset({"tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"}): for_the_endpoints,
}
"""Who reads YAML with these names at its top."""


def test_a_key_is_written_for_the_user_that_runs_the_exporter_alone():
    """Who runs the command at home, and in /etc, where root runs it, the user that it names."""
    lines = [command.line for block in BLOCKS if block.kind == "console" for command in commands(block)]
    lines = [line for line in lines if re.match(r"install .*/key$", line)]
    assert len(lines) >= 4
    for line in lines:
        assert " -m 400 " in line
        assert ("~/" in line) != bool(re.search(r" -o (har-exporter|65532) .* /etc/har-exporter/key$", line)), line


@of_kind("ini")
def test_a_unit_of_systemd_starts_a_command_that_there_is(block):
    unit = ConfigParser()
    unit.read_string(block.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "har-exporter"
    flags = [argument for argument in arguments if argument.startswith("--")]
    assert set(flags) <= set(re.findall(r"--[a-z-]+", run("serve", "--help").stdout))


def test_promql_is_parsed_by_promtool(tmp_path):
    groups = [
        {"name": block.place, "rules": [{"record": f"expression:{number}", "expr": text} for number, text in queries]}
        for block in BLOCKS
        if block.kind == "promql" and (queries := list(enumerate(expressions(block))))
    ]
    assert groups
    accepted([find("promtool"), "check", "rules"], tmp_path / "rules.yaml", yaml.safe_dump({"groups": groups}))


def accepted(command: list[str], path: Path, text: str) -> None:
    path.write_text(text)
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
