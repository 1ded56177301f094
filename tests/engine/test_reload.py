"""When the settings are read again: on demand, when their file changed, and until they are good again."""

import asyncio
import os
import threading
from concurrent.futures import Future

import pytest
import structlog
import yaml

from exporter import log
from exporter.engine.app import App
from exporter.engine.reload import Reloader, Source
from exporter.metrics.exposition import TEXT
from exporter.serving.endpoints import Endpoints
from exporter.texts import SettingsError
from exporter.webconfig.content import FileContent
from tests.support.clocks import FakeClock
from tests.support.threads import wait_until


class Watching:
    """A reloader over a file of settings for a server that nobody asks."""

    def __init__(self, folder):
        self.file = folder / "settings.yaml"
        self.key = folder / "key"
        self.key.write_text("pat.acct.id.key")
        self.write(cache_ttl="1m")
        self.source = Source({"config": str(self.file)})
        self.clock = FakeClock()
        self.app = App(self.source.load(), self.clock)
        self.reloader = Reloader(self.app, self.source, self.clock)

    def write(self, text=None, **settings):
        given = {"spaces": "acct", "base_url": "http://127.0.0.1:9", "api_key_file": str(self.key), **settings}
        self.file.write_text(yaml.safe_dump(given) if text is None else text)

    def looks(self, times=2):
        """Look at the file, and return the lines that are logged."""
        with structlog.testing.capture_logs() as lines:
            for _ in range(times):
                self.reloader.look()
        return lines

    @property
    def cache_ttl(self):
        return self.app.settings.cache_ttl

    @property
    def succeeded(self):
        return b"last_reload_successful 1.0" in self.app.exposition.render(TEXT).parts[-1]


def load_or_refuse(content):
    if content == "bad":
        raise SettingsError(["x: is bad"])
    return content


@pytest.fixture
def watching(tmp_path):
    watching = Watching(tmp_path)
    yield watching
    watching.clock.stopped = True


def test_a_file_that_stands_still_is_not_read_again(watching):
    assert watching.looks(10) == []


def test_a_change_takes_effect_once_two_looks_saw_the_same(watching):
    watching.looks()
    watching.write(cache_ttl="2m")
    watching.looks(1)
    watching.write(cache_ttl="3m")
    watching.looks(1)
    assert watching.cache_ttl == 60
    watching.looks(1)
    assert watching.cache_ttl == 180
    assert watching.looks(10) == []


def test_the_file_is_looked_at_every_five_seconds_until_shutdown(watching):
    watching.write(cache_ttl="2m")
    watching.reloader.watch()
    wait_until(lambda: watching.cache_ttl == 120)
    watching.clock.stopped = True
    wait_until(lambda: "settings-watch" not in [thread.name for thread in threading.enumerate()])
    assert set(watching.clock.waits) == {5.0}


def test_a_change_between_reading_and_the_first_look_is_not_missed(watching):
    watching.write(cache_ttl="2m")
    watching.looks()
    assert watching.cache_ttl == 120


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    """It could not be read again at a reload."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = Source({"config": str(pipe)})
    with pytest.raises(SettingsError, match="not a regular file"):
        source.load()
    assert [(source.look(), source.changed()) for _ in range(2)] == [(True, False)] * 2


@pytest.mark.parametrize("text", ["{", "spaces: acct\ncolour: blue\n", "spaces: acct\ncache_ttl: soon\n", ""])
def test_a_bad_file_is_told_once_changes_nothing_and_a_good_one_heals(text, watching):
    before = watching.app.settings
    watching.write(text)
    (line,) = watching.looks(10)
    assert line["log_level"] == "error"
    assert "\n" not in line["problem"]
    assert watching.app.settings == before
    assert not watching.succeeded
    watching.write(cache_ttl="2m")
    watching.looks()
    assert watching.cache_ttl == 120
    assert watching.succeeded


@pytest.mark.parametrize("gone", ["file", "key"])
def test_what_is_missing_heals_when_it_is_there_again(gone, watching):
    text = watching.file.read_text()
    watching.key.unlink()
    if gone == "file":
        watching.file.unlink()
    faults = watching.reloader.ask().result(20)
    assert ("config" if gone == "file" else "api_key_file") in "".join(faults)
    watching.key.write_text("pat.acct.id.key")
    watching.file.write_text(text)
    watching.looks()
    assert watching.succeeded


@pytest.mark.parametrize("bad", [{"api_key": "can ary"}, {"proxy_url": "can://ary"}, {"api_key": ["can ary"]}])
def test_no_fault_shows_a_secret(bad, watching):
    watching.write(**{"api_key_file": ""} | bad)
    with structlog.testing.capture_logs() as lines:
        faults = watching.reloader.ask().result(20)
    assert next(iter(bad)) in "".join(faults)
    assert "ary" not in f"{faults} {lines}"


def test_each_demand_is_told_even_where_nothing_is_new(watching):
    watching.write("{")
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            assert watching.reloader.ask().result(20)
    assert len(lines) == 2


def test_demands_that_come_before_a_reading_begins_share_it_and_readings_never_overlap(watching):
    began, go, readings = threading.Semaphore(0), threading.Event(), []

    def reload(_):
        readings.append(len(readings))
        began.release()
        assert go.wait(20)

    watching.app.reload = reload
    first = watching.reloader.ask()
    assert began.acquire(timeout=20)
    others = {watching.reloader.ask() for _ in range(5)}
    assert len(others) == 1
    assert others != {first}
    assert readings == [0]
    go.set()
    assert [each.result(20) for each in (first, *others)] == [(), ()]
    assert readings == [0, 1]


def test_a_fault_of_its_own_is_told_without_its_text_and_the_settings_stay(watching):
    before, load = watching.app.settings, watching.source.load
    watching.source.load = lambda: {}["canary"]
    with structlog.testing.capture_logs() as lines:
        (fault,) = watching.reloader.ask().result(20)
    (line,) = lines
    assert fault == line["problem"]
    assert fault.startswith("KeyError: ")
    assert "canary" not in fault + line["exception"].split("load = ")[0]
    assert watching.app.settings is before
    assert not watching.succeeded
    watching.source.load = load
    for _ in range(2):
        watching.reloader.look()
    assert watching.succeeded


def test_level_and_format_of_the_log_follow(watching, capsys):
    """So do the lines of what was there before, such as the web config file."""
    contents = iter(["good", "bad"])
    watched = FileContent(lambda: next(contents), load_or_refuse, file="web")
    log.configure("info", "logfmt")
    watching.write(log_level="warning", log_format="json")
    assert watching.reloader.ask().result(20) == ()
    capsys.readouterr()
    structlog.get_logger().info("not told")
    assert "not told" not in capsys.readouterr().err
    watched.look()
    assert '"msg": "invalid' in capsys.readouterr().err


class Asked:
    """Endpoints that have nothing but settings to read again, and their answers."""

    def __init__(self):
        self.readings = []
        self.statuses = []
        self.endpoints = Endpoints(
            None, None, None, clock=FakeClock(), scrape_timeout_offset=lambda: 0.5, reload=self._begin
        )

    def _begin(self):
        self.readings.append(Future())
        return self.readings[-1]

    async def post(self):
        async def send(message):
            self.statuses.append(message.get("status"))

        await self.endpoints({"path": "/-/reload", "method": "POST", "headers": []}, None, send)


def test_a_request_that_is_given_up_calls_off_no_reading_that_others_may_wait_for():
    async def give_up(asked):
        request = asyncio.create_task(asked.post())
        await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])

    asked = Asked()
    asyncio.run(give_up(asked))
    (reading,) = asked.readings
    assert not reading.cancelled()
    assert asked.statuses == []


def test_no_reading_begins_once_shutdown_has_begun():
    asked = Asked()
    asked.endpoints.stop()
    asyncio.run(asked.post())
    assert (asked.statuses[0], asked.readings) == (503, [])


@pytest.mark.parametrize(("faults", "status"), [((), 200), (("cache_ttl: is none",), 500)])
def test_a_request_is_answered_once_the_settings_were_read(faults, status):
    async def ask(asked):
        request = asyncio.create_task(asked.post())
        await asyncio.sleep(0)
        assert asked.statuses == []
        asked.readings[0].set_result(faults)
        await request

    asked = Asked()
    asyncio.run(ask(asked))
    assert asked.statuses[0] == status


def test_a_request_is_refused_where_nobody_may_ask():
    asked = Asked()
    asked.endpoints = Endpoints(None, None, None, clock=FakeClock(), scrape_timeout_offset=lambda: 0.5)
    asyncio.run(asked.post())
    assert asked.statuses[0] == 403
