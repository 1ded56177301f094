"""Settings that change while the exporter runs: what goes on undisturbed, what begins anew, what is refused."""

import re
import threading
from concurrent.futures import wait

import pytest
import structlog
import trustme

from exporter.config.settings import OnReload, Settings, names_of
from exporter.engine.app import App
from exporter.metrics.exposition import TEXT
from exporter.scopes import shard_of
from exporter.texts import SettingsError
from tests.support import whole
from tests.support.apps import refreshed
from tests.support.clocks import FakeClock
from tests.support.commands import settings_for
from tests.support.settings import settings_of
from tests.support.upstream import Upstream, make_row, make_rows, reply


class Reloading:
    """An exporter over an upstream, and its settings, which a test changes."""

    def __init__(self, upstream, clock=None, **more):
        self.given = settings_for(upstream, **more)
        self.clock = clock or FakeClock()
        self.app = App(self.load(), self.clock)

    def load(self):
        return settings_of(**self.given)

    def reload(self, **changed):
        self.given |= changed
        self.app.reload(self.load)

    def refreshed(self):
        """Let every refresh that is due end, and return the statuses by space."""
        return refreshed(self.app)

    @property
    def statuses(self):
        return {status.space: status for status in self.app.refresher.statuses()}

    @property
    def page(self):
        return b"".join(self.app.exposition.render(TEXT).parts).decode()

    @property
    def samples(self):
        return whole.Scrape(self.page)

    @property
    def counters(self):
        """Every counter of the exporter's own."""
        return {name: value for name, value in self.samples.items() if re.match(r"har_\w+_total\b", name)}


@pytest.fixture
def upstream():
    with Upstream({"acct": make_rows(3), "acct/org": make_rows(5)}) as upstream:
        yield upstream


@pytest.fixture
def others(tmp_path, upstream):
    """For each setting another value than the one it has, with what it needs beside it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("me").private_key_and_cert_chain_pem
    for name, blob in {"ca": authority.cert_pem, "cert": certificate}.items():
        blob.write_to_path(str(tmp_path / name))
    (tmp_path / "key").write_text(upstream.key)
    (tmp_path / "web").write_text("")
    cert = {"client_cert_file": f"{tmp_path}/cert"}
    values = {
        "allow_insecure_http": "true", "base_url": f"{upstream.url}/elsewhere", "api_prefix": "/elsewhere/v1",
        "api_key": "pat.acct.other.key", "auth_scheme": "bearer", "spaces": "acct,acct/org", "registries": "one",
        "package_types": "NPM", "latest_version": "true", "deployed_artifact": "true", "search_term": "x",
        "owner": "a team", "page_size": "50", "concurrency": "2", "rate_limit": "299/m", "request_timeout": "7s",
        "refresh_timeout": "7m", "cache_ttl": "7m", "max_stale": "2h", "scrape_timeout_offset": "1s",
        "findings": "warn", "findings_limit": "1", "registries_limit": "1", "stale_scan_after": "1d",
        "ca_file": f"{tmp_path}/ca", "proxy_url": "http://127.0.0.1:9", "link_template": "https://x/", "probe": "off",
        "listen_address": ":1", "web_enable_lifecycle": "true",
        "sources": "violations", "registries_ttl": "7m", "violations_ttl": "7m",
        "web_config_file": f"{tmp_path}/web", "log_level": "debug", "log_format": "json",
    }  # fmt: skip
    return {name: {name: value} for name, value in values.items()} | {
        "api_key_file": {"api_key": "", "api_key_file": f"{tmp_path}/key"},
        "client_cert_file": cert,
        "client_key_file": cert | {"client_key_file": f"{tmp_path}/cert"},
        "shard": {"shards": "2", "shard": str(shard_of("acct", 2))},
        "shards": {"shards": "2", "shard": str(shard_of("acct", 2))},
    }


@pytest.mark.parametrize("name", Settings.model_fields)
def test_what_becomes_of_data_when_a_setting_changes(name, upstream, others):
    """Of another listing it is dropped; read otherwise it is served until it was read again; else it is as it was."""
    running = Reloading(upstream)
    before = running.refreshed()["acct"]
    settings = running.app.settings
    upstream.hold = threading.Event()
    running.reload(**others[name])
    after = running.statuses["acct"]
    if name in names_of(OnReload.RESET):
        assert (after.state, after.snapshot, after.up) == ("cold", None, False)
    elif name in names_of(OnReload.REFRESH):
        assert after.state in {"due", "failing"}
        assert after.snapshot is before.snapshot
    else:
        assert after == before
    changed = getattr(running.app.settings, name) != getattr(settings, name)
    assert changed is (name not in names_of(OnReload.RESTART)) or name == "shard"
    upstream.hold.set()


def test_a_setting_that_needs_a_restart_is_told_each_time_and_the_others_take_effect(upstream):
    running = Reloading(upstream)
    for _ in range(2):
        with structlog.testing.capture_logs() as lines:
            running.reload(listen_address=":1", cache_ttl="77s")
        assert [line["settings"] for line in lines if "settings" in line] == ["listen_address"]
    assert 'har_refresh_interval_seconds{space="acct"} 77.0' in running.page
    assert "har_exporter_config_last_reload_successful 1.0" in running.page


def test_spaces_come_and_go_at_once(upstream):
    running = Reloading(upstream)
    running.refreshed()
    requests = len(upstream.requests)
    running.reload(spaces="acct/org,acct")
    upstream.wait_for_requests(requests + 1)
    assert running.refreshed()["acct/org"].snapshot.inventory.artifacts == 5
    assert all("org" in request.path for request in upstream.requests[requests:])
    assert list(running.statuses) == ["acct/org", "acct"]
    running.reload(spaces="acct/org")
    assert 'space="acct"' not in running.page
    assert 'har_up{space="acct/org"} 1.0' in running.page


def test_counters_of_spaces_and_process_go_on(upstream):
    running = Reloading(upstream)
    running.refreshed()
    upstream.fault = lambda _: reply(500)
    running.clock.tick(300)
    running.refreshed()
    before = running.counters
    assert before['har_refresh_failures_total{reason="server_error",space="acct"}'] == 1
    upstream.hold = threading.Event()
    for changed in ({"cache_ttl": "1m"}, {"findings": "warn"}, {"registries": "one"}, {"spaces": "acct,acct/org"}):
        running.reload(**changed)
        assert before.items() <= running.counters.items()
    upstream.hold.set()


@pytest.mark.parametrize(
    "changed", [{"spaces": "acct/org"}, {"shards": "2", "shard": str(1 - shard_of("acct", 2))}, {"search_term": "x"}]
)
def test_a_walk_that_nobody_wants_any_more_asks_for_no_further_page(changed, upstream):
    upstream.spaces["acct"] = make_rows(2_000)
    upstream.hold = threading.Event()
    running = Reloading(upstream)
    (refresh,) = running.app.refresher.start()
    upstream.wait_for_requests(1)
    running.reload(**changed)
    upstream.hold.set()
    assert refresh.result(20) is None
    abandoned = [
        request for request in upstream.requests if "/org/" not in request.path and not request.query.get("search_term")
    ]
    assert len(abandoned) == 1


def test_a_walk_goes_on_where_its_space_stays(upstream):
    upstream.spaces["acct"] = make_rows(2_000)
    upstream.hold = threading.Event()
    running = Reloading(upstream)
    (refresh,) = running.app.refresher.start()
    upstream.wait_for_requests(1)
    running.reload(request_timeout="9s", page_size="50", cache_ttl="1m", concurrency="2")
    upstream.hold.set()
    assert refresh.result(20) is None
    assert running.statuses["acct"].snapshot.inventory.artifacts == 2_000
    assert upstream.requests[-1].query["size"] == ["1000"], "as page_size: auto finds out"


def test_stale_scans_are_told_under_the_ages_that_they_were_counted_by(upstream):
    running = Reloading(upstream)
    running.refreshed()
    upstream.hold = threading.Event()
    running.reload(stale_scan_after="1d,2d,3d,4d")
    assert 'older_than="90d"' in running.page
    assert 'older_than="4d"' not in running.page
    upstream.hold.set()
    running.refreshed()
    assert 'older_than="4d"' in running.page


@pytest.mark.parametrize("changed", [{}, {"request_timeout": "9s"}, {"concurrency": "2"}, {"api_key_file": ""}])
def test_no_reload_gives_a_key_more_requests_than_its_limit(changed, upstream, tmp_path):
    running = Reloading(upstream, rate_limit="2/m")
    running.refreshed()
    if "api_key_file" in changed:
        (tmp_path / "key").write_text(upstream.key)
        changed = {"api_key": "", "api_key_file": f"{tmp_path}/key"}
    running.reload(spaces="acct/org", **changed)
    running.refreshed()
    assert running.clock.waits == []
    running.reload(spaces="acct")
    running.refreshed()
    assert sum(running.clock.waits) == pytest.approx(60.0)


def test_another_rate_limit_holds_at_once_and_counts_what_was_sent(upstream):
    running = Reloading(upstream)
    running.refreshed()
    running.reload(rate_limit="1/h", spaces="acct/org")
    running.refreshed()
    assert sum(running.clock.waits) == pytest.approx(3600.0)


def test_a_hold_that_the_server_asked_for_outlives_a_reload(upstream):
    running = Reloading(upstream)
    upstream.fault = lambda _: reply(429, headers=[("Retry-After", "8000")])
    running.refreshed()
    upstream.fault = None
    sent = len(upstream.requests)
    running.reload(spaces="acct/org", request_timeout="9s")
    running.refreshed()
    failure = running.statuses["acct/org"].last_failure
    assert (failure.reason, round(failure.pause)) == ("rate_limited", 3_600)
    assert len(upstream.requests) == sent


def test_settings_that_cannot_be_used_change_nothing_and_later_good_ones_heal(upstream):
    running = Reloading(upstream)
    running.refreshed()
    before = running.statuses, running.app.settings
    began = running.clock.time()
    running.clock.tick(10)
    with pytest.raises(SettingsError, match="CACHE_TTL"):
        running.reload(cache_ttl="soon", spaces="acct/org")
    assert (running.statuses, running.app.settings) == before
    assert "har_exporter_config_last_reload_successful 0.0" in running.page
    assert running.samples["har_exporter_config_last_reload_success_timestamp_seconds"] == began
    running.reload(cache_ttl="1m")
    assert "har_exporter_config_last_reload_successful 1.0" in running.page
    assert running.samples["har_exporter_config_last_reload_success_timestamp_seconds"] == began + 10


def test_a_key_file_that_goes_between_two_looks_changes_nothing(upstream, tmp_path):
    running = Reloading(upstream)
    (tmp_path / "key").write_text(upstream.key)
    settings = settings_of(spaces="acct", api_key_file=f"{tmp_path}/key")
    (tmp_path / "key").unlink()
    with pytest.raises(SettingsError, match="api_key_file"):
        running.app.reload(lambda: settings)
    assert running.app.settings.api_key_file is None


def test_a_space_that_starts_anew_is_told_to_be_up_again(upstream):
    running = Reloading(upstream)
    with structlog.testing.capture_logs() as lines:
        running.refreshed()
        running.reload(search_term="artifact")
        running.refreshed()
    assert [line["event"] for line in lines if line["event"] == "space is up"] == ["space is up"] * 2


def probe(running, space):
    """Return what /probe shows of a space once its refresh ended; nothing where it may not be asked for."""
    target = running.app.probes.targets.asked(f"space={space}".encode())
    if target is None:
        return None
    found = running.app.probes.open(target)
    wait(found.scrape(10.0), timeout=20)
    (view,) = found.views()
    return view.status


def test_probes_ask_for_what_the_settings_say_now(upstream):
    running = Reloading(upstream, probe="any")
    assert probe(running, "acct/org").up
    for setting, may in [("configured", False), ("any", True), ("off", False)]:
        running.reload(probe=setting)
        assert (probe(running, "acct/org") is not None) is may


def test_a_target_of_probes_goes_on_as_a_space_of_metrics_does(upstream):
    """Unchanged with its snapshot, cold where another listing is meant, read again at once where read otherwise."""
    running = Reloading(upstream, probe="any")
    before = probe(running, "acct/org")
    running.reload(cache_ttl="10m", page_size="50")
    running.clock.tick(400)
    assert probe(running, "acct/org").snapshot is before.snapshot
    upstream.fault = lambda _: reply(500)
    running.reload(findings="warn")
    after = probe(running, "acct/org")
    assert (after.state, after.snapshot) == ("failing", before.snapshot)
    running.reload(search_term="x")
    after = probe(running, "acct/org")
    assert (after.state, after.snapshot, after.failures["server_error"]) == ("cold", None, 2)
    upstream.fault = None
    running.reload(search_term="")
    assert probe(running, "acct/org").snapshot.inventory.artifacts == 5
    running.reload(spaces="acct,acct/org")
    assert len(running.app.probes._kept) == 0


def test_a_new_finding_stays_first_for_an_hour_also_over_a_reload():
    """What was found before is known from the last snapshot, whoever reads the next one."""
    rows = [make_row(number, scanStatus="BLOCKED") for number in range(2)]
    with Upstream({"acct": rows}) as upstream:
        running = Reloading(upstream, findings_limit="1", max_stale="3h")

        def found():
            running.clock.tick(running.app.settings.cache_ttl)
            (finding,) = running.refreshed()["acct"].snapshot.inventory.findings
            return finding.artifact

        assert found() == "artifact-000000"
        upstream.spaces["acct"] = [*rows, make_row(2, scanStatus="BLOCKED")]
        assert found() == "artifact-000002"
        running.reload(link_template="https://other/")
        assert found() == "artifact-000002"
        running.clock.tick(3_600)
        assert found() == "artifact-000000"
