"""Stalled TLS handshakes do not delay scrapes, and leak no resources."""

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import trustme

from tests.soak.crowd import crowd
from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import p99, patience, scrape, scrape_for
from tests.support.upstream import Upstream, make_rows

_SECONDS = 15.0
_HANDSHAKE_SECONDS = 6.0
_STALLED = {"send nothing": b"", "stop within their ClientHello": b"\x16\x03\x01\x02\x00\x01\x00"}


def rows() -> Iterator[Promise]:
    """Scrape over TLS next to handshakes that stall."""
    with tempfile.TemporaryDirectory() as folder, Upstream(make_rows(300)) as upstream:
        config, tls = _tls(Path(folder))
        settings = {"api_key": upstream.key, "spaces": upstream.space, "cache_ttl": "1h"}
        with exporter(upstream.url, web_config_file=str(config), **settings) as running:
            until(lambda: not scrape(running.address, tls=tls).fault)
            limit = patience(scrape_for(5.0, running.address, tls))
            for clients in (1, 200):
                for how, sent in _STALLED.items():
                    yield from _promises(running, tls, f"{clients} handshakes that {how}", clients, sent, limit)


def _tls(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Write a web config file, and return it with a TLS context that trusts its certificate."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    config = folder / "web.yml"
    config.write_text("tls_server_config: {cert_file: server.pem, key_file: server.pem}\n")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return config, tls


def _promises(
    running: Exporter, tls: ssl.SSLContext, text: str, clients: int, sent: bytes, limit: float
) -> Iterator[Promise]:
    before = running.usage()
    with crowd(running.address, clients, sent, reads=True) as lives:
        scrapes = scrape_for(_SECONDS, running.address, tls)
    faults = [done.fault for done in scrapes if done.fault]
    yield exactly(f"{text}: failed scrapes of {len(scrapes)}", len(faults), 0)
    yield at_most(f"{text}: 99th percentile of scrapes", p99(scrapes), limit, " s")
    yield at_most(f"{text}: closed within", max(lives, default=_SECONDS), _HANDSHAKE_SECONDS, " s")
    until(lambda: running.usage().descriptors <= before.descriptors)
    after = running.usage()
    yield at_most(f"{text}: descriptors afterwards", after.descriptors, before.descriptors)
    yield at_most(f"{text}: threads afterwards", after.threads, before.threads)
