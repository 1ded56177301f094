"""Probes as Debian's Prometheus makes them, configured as the docs say and as the Prometheus Operator does."""

import subprocess
from contextlib import contextmanager

import pytest
import yaml

from tests.support.commands import served, settings_for
from tests.support.markdown import blocks
from tests.support.places import ROOT
from tests.support.programs import find
from tests.support.stack import Prometheus, eventually, prometheus
from tests.support.upstream import Upstream, make_rows

SPACES = {"my_account": make_rows(3), "my_account/my_org": make_rows(120, isQuarantined=True)}
HURRY = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}


def of_the_docs(address: str) -> dict:
    """Return the configuration of the docs, with the address of an exporter in the place of the documented one."""
    (block,) = [block for block in blocks(ROOT / "docs" / "probe.md") if block.kind == "yaml"]
    assert "localhost:10981" in block.text
    return yaml.safe_load(block.text.replace("localhost:10981", address)) | {"global": HURRY}


def of_the_operator(address: str) -> dict:
    """Return what the Prometheus Operator makes of the chart's Probe: the targets' own rules stand at the end."""
    relabelings = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": address},
        {"source_labels": ["__param_target"], "target_label": "__param_space"},
        {"action": "labeldrop", "regex": "__param_target"},
    ]
    job = {"job_name": "probe", "metrics_path": "/probe", "static_configs": [{"targets": list(SPACES)}]}
    return {"global": HURRY, "scrape_configs": [job | {"relabel_configs": relabelings}]}


@contextmanager
def probing(folder, configuration):
    """Run an exporter of these spaces and a Prometheus that probes it."""
    with Upstream(SPACES) as upstream, served(**settings_for(upstream, spaces=",".join(SPACES))) as (_, url):
        config = configuration(url.removeprefix("http://"))
        (folder / "checked.yml").write_text(yaml.safe_dump(config))
        command = [find("promtool"), "check", "config", folder / "checked.yml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with prometheus(folder, config) as server:
            yield server, upstream


def values(server: Prometheus, expression: str) -> dict[str, float]:
    return {found["metric"].get("instance", ""): float(found["value"][1]) for found in server.query(expression)}


@pytest.mark.parametrize("configuration", [of_the_docs, of_the_operator])
def test_prometheus_reads_each_space_as_an_instance_of_its_own(configuration, tmp_path):
    with probing(tmp_path, configuration) as (server, upstream):
        eventually(lambda: values(server, 'har_up{job=~".*probe"} == 1').keys() == SPACES.keys())
        counted = eventually(lambda: values(server, 'sum by (instance) (har_artifacts{job=~".*probe"})'))
        assert counted == {"my_account": 3, "my_account/my_org": 120}
        told = [found["metric"] for found in server.query('har_up{job=~".*probe"}')]
        assert {(metric["instance"], metric["space"]) for metric in told} == {(space, space) for space in SPACES}
        assert set(values(server, 'up{job=~".*probe"}').values()) == {1}
        assert len(upstream.requests) == 4  # one page, and two with the first once more


def test_beside_probes_the_docs_read_metrics_of_the_process_alone(tmp_path):
    with probing(tmp_path, of_the_docs) as (server, _):
        eventually(lambda: server.query("har_exporter_build_info"))
        eventually(lambda: len(server.query("har_up")) == len(SPACES))
        assert {found["metric"]["job"] for found in server.query("har_exporter_build_info")} == {"har-exporter"}
        assert {found["metric"]["job"] for found in server.query('{__name__=~"har_.*",space!=""}')} == {
            "har-exporter-probe"
        }
