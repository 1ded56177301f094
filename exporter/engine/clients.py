"""Which spaces share a server and a key, and with them a client, its connections and its share of requests."""

import random
import threading
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

import structlog
from pydantic import SecretStr

from exporter.clock import Clock
from exporter.config.settings import Settings, SettingsError, Space
from exporter.harness.client import Client, Listing
from exporter.harness.counters import ApiCounters
from exporter.harness.keys import FixedKey, KeyFile, KeySource, account_of
from exporter.harness.limits import Limits
from exporter.harness.transport import Transport
from exporter.workers import Workers

_log = structlog.get_logger()

_MADE_OF = (
    "api_prefix", "auth_scheme", "ca_file", "client_cert_file", "client_key_file", "concurrency", "proxy_url",
    "request_timeout",
)  # fmt: skip
"""The settings that make an upstream, beside its server and its key."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Upstream:
    """One server, asked with one key. Its threads and connections end with the last walk that refers to it.

    Attributes:
        client: asks for pages.
        key: the key, and where it comes from.
        workers: threads that fetch pages; of its own, so that a server on hold keeps no other one waiting.
    """

    client: Client
    key: KeySource
    workers: Workers


class Upstreams:
    """All servers and keys of the process, opened as spaces ask for them; safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock, counters: ApiCounters) -> None:
        self._clock = clock
        self._counters = counters
        self._limits = Limits(clock, counters, rate=settings.rate_limit, concurrency=settings.concurrency)
        self._lock = threading.Lock()
        self._opened: WeakValueDictionary[tuple[object, ...], Upstream] = WeakValueDictionary()
        self._walks: WeakValueDictionary[tuple[object, ...], Workers] = WeakValueDictionary()
        self._told: set[tuple[str, str]] = set()

    def of(self, space: Space, settings: Settings) -> Upstream:
        """Return the server and key of a space, the same as long as it is in use and made of the same settings.

        Raises:
            SettingsError: the key file cannot be used, though it could be when the settings were read.
        """
        identity = (*_identity(space), *(getattr(settings, name) for name in _MADE_OF))
        with self._lock:
            upstream = self._opened.get(identity)
        if upstream is None:
            # A file system may hang while the key is read: nobody else waits for that.
            opened = self._open(space, settings)
            with self._lock:
                upstream = self._opened.setdefault(identity, opened)
        self._tell_of_another_account(space, account_of(upstream.key.current()))
        return upstream

    def walks_of(self, space: Space, settings: Settings) -> Workers:
        """Return the threads that walk through a space.

        Every server and key has its own: walks that wait for their turn to ask one keep the spaces of no other waiting.
        """
        identity = (*_identity(space), settings.concurrency)
        with self._lock:
            workers = self._walks.get(identity)
            if workers is None:
                self._walks[identity] = workers = Workers(settings.concurrency, "walk")
        return workers

    def keys_usable(self) -> bool:
        """Return whether every key file could be used when it was last read."""
        with self._lock:
            return all(upstream.key.usable for upstream in self._opened.values())

    def _tell_of_another_account(self, space: Space, account: str) -> None:
        """Warn once for each account: probes may ask for any number of its scopes."""
        if account not in {"", space.account} and (account, space.account) not in self._told:
            self._told.add((account, space.account))
            _log.warning("the key is of another account than the space", space=space.ref, key_account=account)

    def limit(self, settings: Settings) -> None:
        """Hold all requests to the limits of these settings from now on."""
        self._limits.change(rate=settings.rate_limit, concurrency=settings.concurrency)

    def _open(self, space: Space, settings: Settings) -> Upstream:
        key = _key(space)
        client = Client(
            _transport(space, settings),
            space.base_url + settings.api_prefix,
            key,
            bearer=settings.auth_scheme == "bearer",
            request_timeout=settings.request_timeout,
            throttle=partial(self._limits.throttle, space.base_url),
            budget=self._limits.budget,
            slots=self._limits.slots,
            counters=self._counters,
            clock=self._clock,
            jitter=random.Random(),
        )
        return Upstream(client, key, Workers(settings.concurrency, "page"))


def listing_of(space: Space) -> Listing:
    """Return what to ask the API for."""
    return Listing(
        space=space.ref,
        registries=space.registries,
        package_types=space.package_types,
        latest_version=space.latest_version,
        deployed_artifact=space.deployed_artifact,
        search_term=space.search_term,
    )


def _identity(space: Space) -> tuple[object, ...]:
    return space.base_url, space.api_key_file or space.api_key


def _key(space: Space) -> KeySource:
    if space.api_key_file is None:
        return FixedKey(_text(space.api_key))
    try:
        return KeyFile(space.api_key_file)
    except (OSError, ValueError):
        raise SettingsError(["api_key_file: cannot be used any more; accepted is a file that holds a key"]) from None


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
