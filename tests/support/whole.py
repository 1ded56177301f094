"""The whole exporter inside the test's process, from settings to a scrape over a socket, with everything that it logs.

It has two spaces: `acct`, whose server a test spoils, and `other`, which has a good server and a key of its own.
"""

import contextlib
import io
from concurrent.futures import wait

import requests
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter import log
from exporter.config.sources import load
from exporter.engine.app import App
from exporter.serving.endpoints import Endpoints
from exporter.serving.listener import listen
from exporter.serving.server import Server
from tests.support import threads
from tests.support.upstream import Upstream, make_rows

KEY = "pat.acct.id.canary+secret/2Kx="
"""The key of the space `acct`."""

PATIENCE = 20  # seconds until a scrape that hangs fails the test


class Scrape(dict):
    """The series of one scrape by `name{label="value",…}`, labels sorted; missing ones are None."""

    def __init__(self, text):
        super().__init__(
            (sample.name + _labels(sample.labels), sample.value) for family in parse(text) for sample in family.samples
        )
        self.text = text

    def __missing__(self, series):
        return None

    def failures(self, space):
        """Return how often the refresh of a space failed, by reason, without those that never did."""
        start = 'har_refresh_failures_total{reason="'
        found = {series: int(value) for series, value in self.items() if series.startswith(start) and value}
        return {s.removeprefix(start).partition('"')[0]: n for s, n in found.items() if f'space="{space}"' in s}

    def of(self, space, prefix):
        """Return the series of a space whose name begins so."""
        return {s: value for s, value in self.items() if s.startswith(prefix) and f'space="{space}"' in s}


def _labels(labels):
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}" if labels else ""


class Whole:
    """The exporter while it runs.

    Attributes:
        app: its inside.
        url: where it is scraped.
        log: everything that it logged at debug level.
    """

    def __init__(self, app, url, stream):
        self.app, self.url, self._stream = app, url, stream

    @property
    def log(self):
        return self._stream.getvalue()

    def get(self, path="/metrics", timeout=PATIENCE):
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(timeout)}
        answer = requests.get(self.url + path, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200
        return answer.text

    def refresh(self):
        """Let every refresh that is due end, also those that no scrape waits for."""
        self.app.refresher.scrape(PATIENCE)
        running = [space.running for space in self.app.refresher._spaces.values() if space.running]
        assert not wait(running, timeout=PATIENCE).not_done

    def scrape(self, timeout=PATIENCE):
        """Scrape once, after every refresh that is due where the timeout is long enough."""
        if timeout == PATIENCE:
            self.refresh()
        return Scrape(self.get(timeout=timeout))


class Front:
    """A server with the endpoints of the exporter that runs; one for many, since its shutdown takes time.

    Attributes:
        endpoints: those of the exporter that runs.
        url: where it listens.
    """

    def __init__(self, url):
        self.endpoints, self.url = None, url

    async def __call__(self, scope, receive, send):
        await self.endpoints(scope, receive, send)


@contextlib.contextmanager
def front():
    sock = listen("127.0.0.1", 0)
    front = Front("http://{}:{}".format(*sock.getsockname()))
    with threads.running(Server(front, sock, on_shutdown=int)):
        yield front


def endpoints_of(app, clock, sources=None):
    pages = app.refresher, app.exposition, app.probes
    return Endpoints(*pages, clock=clock, scrape_timeout_offset=lambda: 0.5, sources=sources)


@contextlib.contextmanager
def running(front, clock, folder, base_url, *, key=KEY, **settings):
    """Run the exporter; the settings are those of the space that a test spoils.

    Args:
        front: what serves it.
        clock: its clock.
        folder: for files of its own.
        base_url: the server of `acct`.
        key: what is written into the key file of `acct`; None to leave that file to the test.
        settings: further settings as texts.
    """
    if key is not None:
        (folder / "key").write_text(key)
    (folder / "other-key").write_text("pat.other.id.key")
    stream = io.StringIO()
    log.configure("debug", "logfmt", stream)
    with Upstream({"other": make_rows(3)}, key="pat.other.id.key") as other:
        config = folder / "settings.yaml"
        config.write_text(f"""
            base_url: {base_url}
            api_key_file: {folder}/key
            spaces: [acct, {{ref: other, base_url: "{other.url}", api_key_file: "{folder}/other-key"}}]
        """)
        app = App(load({"config": str(config), **settings}, {}), clock)
        front.endpoints = endpoints_of(app, clock)
        yield Whole(app, front.url, stream)
