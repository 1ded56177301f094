"""Clients by server and key: spaces that share both share a client, its connections and its share of requests."""

import random
import threading
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog
from pydantic import SecretStr

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.config.spaces import Space
from exporter.engine.walks import Walks
from exporter.harness.client import Client, Listing
from exporter.harness.counters import ApiCounters
from exporter.harness.keys import FixedKey, KeyFile, KeySource, account_of
from exporter.harness.limits import Limits
from exporter.harness.transport import Transport
from exporter.log import LoggedStates
from exporter.texts import SettingsError
from exporter.workers import Workers

_log = structlog.get_logger()

_MADE_OF = (
    "api_prefix",
    "auth_scheme",
    "ca_file",
    "client_cert_file",
    "client_key_file",
    "concurrency",
    "proxy_url",
    "request_timeout",
)
"""Settings that a client is made of, in addition to its server and key."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SharedClient:
    """Client of one server with one key; its threads and connections end with the last walk that refers to it.

    Attributes:
        client: asks for pages.
        key: source of the key.
        workers: threads that fetch pages; one server on hold keeps no other server waiting.
        walks: threads that walk through its spaces.
    """

    client: Client
    key: KeySource
    workers: Workers
    walks: Walks


class Clients:
    """All clients of the process, opened when spaces ask for them; safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock, counters: ApiCounters) -> None:
        self._clock = clock
        self._counters = counters
        self._limits = Limits(clock, counters, rate=settings.rate_limit, concurrency=settings.concurrency)
        self._lock = threading.Lock()
        # Weak, so that the threads and connections of a client that no walk uses any more end.
        self._opened: WeakValueDictionary[tuple[object, ...], SharedClient] = WeakValueDictionary()
        self._walks: WeakValueDictionary[tuple[object, ...], Walks] = WeakValueDictionary()
        self._source_workers: WeakValueDictionary[tuple[object, ...], Workers] = WeakValueDictionary()
        self._logged = LoggedStates()

    def of(self, space: Space, settings: Settings) -> SharedClient:
        """Return the client of a space: the same one while it is in use and made of the same settings.

        Raises:
            SettingsError: the key file cannot be used, although it could when the settings were read.
        """
        # The path of the key file, not the key: a rotation must not open another client.
        identity = (*space.upstream, *(getattr(settings, name) for name in _MADE_OF))
        with self._lock:
            client = self._opened.get(identity)
        if client is None:
            # Without the lock: a hanging file system must not block the other spaces while the key is read.
            opened = self._open(space, settings)
            with self._lock:
                # Another thread may have opened it meanwhile; both must use the same connections.
                client = self._opened.setdefault(identity, opened)
        self._warn_of_other_account(space, account_of(client.key.current()))
        return client

    def walk_workers(self, space: Space, settings: Settings) -> Walks:
        """Return the threads that walk through a space.

        Each server and key has its own, so that walks that wait for one server block no space of another.
        """
        identity = (*space.upstream, settings.concurrency)
        with self._lock:
            walks = self._walks.get(identity)
            if walks is None:
                self._walks[identity] = walks = Walks(settings.concurrency)
        return walks

    def source_workers(self, space: Space, source: str) -> Workers:
        """Return the thread that reads a source of all entries with the server and key of this one.

        One is enough: all reads of a source together may take a tenth of the rate only.
        """
        identity = (*space.upstream, source)
        with self._lock:
            workers = self._source_workers.get(identity)
            if workers is None:
                self._source_workers[identity] = workers = Workers(1, source)
        return workers

    def keys_usable(self) -> bool:
        """Return whether every key file could be used when it was last read."""
        with self._lock:
            return all(client.key.usable for client in self._opened.values())

    def limit(self, settings: Settings) -> None:
        """Apply the limits of these settings to all requests from now on."""
        self._limits.change(rate=settings.rate_limit, concurrency=settings.concurrency)

    def _warn_of_other_account(self, space: Space, account: str) -> None:
        """Warn once per account: probes may ask for any number of its scopes."""
        if account not in {"", space.account} and self._logged.is_new(space.account, account):
            _log.warning("the key belongs to another account than the space", space=space.ref, key_account=account)

    def _open(self, space: Space, settings: Settings) -> SharedClient:
        key = _key(space)
        client = Client(
            _transport(space, settings),
            space.base_url + settings.api_prefix,
            key,
            self._limits,
            bearer=settings.auth_scheme == "bearer",
            request_timeout=settings.request_timeout,
            counters=self._counters,
            clock=self._clock,
            jitter=random.Random(),
        )
        workers = Workers(settings.concurrency, "page")
        return SharedClient(client, key, workers, self.walk_workers(space, settings))


def listing_of(space: Space) -> Listing:
    """Return the listing to ask the API for."""
    return Listing(
        space=space.ref,
        registries=space.registries,
        package_types=space.package_types,
        latest_version=space.latest_version,
        deployed_artifact=space.deployed_artifact,
        search_term=space.search_term,
    )


def _key(space: Space) -> KeySource:
    if space.api_key_file is None:
        return FixedKey(_text(space.api_key))
    try:
        return KeyFile(space.api_key_file)
    except (OSError, ValueError):
        raise SettingsError(["api_key_file: can no longer be used; accepted is a file that holds a key"]) from None


def _transport(space: Space, settings: Settings) -> Transport:
    cert = settings.client_cert_file
    return Transport(
        space.base_url,
        connections=settings.concurrency,
        ca_file=settings.ca_file,
        client_cert=(cert, settings.client_key_file) if cert else None,
        proxy_url=_text(settings.proxy_url) or None,
    )


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
