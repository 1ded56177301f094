"""Servers and keys: what is shared among those who open them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from exporter.engine.clients import Clients
from exporter.harness.counters import ApiCounters
from exporter.harness.keys import KeyFile
from exporter.harness.throttle import Throttle
from tests.support.clocks import FakeClock
from tests.support.settings import settings_from, settings_of

PATIENCE = 0.2  # enough for a limit to be made, where nothing holds that up


def test_limits_change_while_new_keys_are_sent(monkeypatch):
    """A key that is new meanwhile waits for its limit, and does not disturb."""
    of_one = settings_of(spaces="acct", api_key="pat.acct.id.a")
    upstreams = Clients(of_one, FakeClock(), ApiCounters())
    client = upstreams.of(*of_one.served, of_one).client
    throttle = partial(client._limits.throttle, "https://host")
    throttles = [throttle(key) for key in "ab"]
    new = threading.Thread(target=lambda: throttles.append(throttle("c")))
    limit = Throttle.limit

    def limit_slowly(throttle, rate):
        if new.ident is None:
            new.start()
            new.join(PATIENCE)
        limit(throttle, rate)

    monkeypatch.setattr(Throttle, "limit", limit_slowly)
    upstreams.limit(of_one)
    new.join(20)
    assert len(throttles) == 3


def test_a_key_file_that_hangs_keeps_nobody_else_waiting(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("pat.acct.id.b")
    of_both = settings_from(tmp_path, f"{{api_key: pat.acct.id.a, spaces: [a, {{ref: b, api_key_file: {file}}}]}}")
    first, hanging = of_both.served
    upstreams = Clients(of_both, FakeClock(), ApiCounters())
    reading, answered = threading.Event(), threading.Event()

    def hang(path):
        reading.set()
        assert answered.wait(20)
        return KeyFile(path)

    monkeypatch.setattr("exporter.engine.clients.KeyFile", hang)
    with ThreadPoolExecutor() as threads:
        opened = threads.submit(upstreams.of, hanging, of_both)
        try:
            assert reading.wait(20)
            others = [
                threads.submit(upstreams.of, first, of_both),
                threads.submit(upstreams.walk_workers, hanging, of_both),
                threads.submit(upstreams.keys_usable),
            ]
            assert all(other.result(5) for other in others)
        finally:
            answered.set()
        assert opened.result(20).key.current() == "pat.acct.id.b"


def test_a_server_that_is_opened_anew_holds_a_rotated_key_to_what_it_has_sent_so_far():
    """A reload that changes how requests are sent gives no key a second window, and ends no hold."""
    before = settings_of(spaces="acct", api_key="pat.acct.id.a")
    after = before.model_copy(update={"request_timeout": before.request_timeout + 1})
    upstreams = Clients(before, FakeClock(), ApiCounters())
    old, new = (upstreams.of(*settings.served, settings) for settings in (before, after))
    assert old is not new
    assert old.client._limits is new.client._limits
