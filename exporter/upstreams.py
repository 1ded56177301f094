"""Which spaces share a server and a key, and with them a client, its connections and its share of requests."""

import random
import threading
from collections import defaultdict
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from exporter.apikey import FixedKey, KeyFile, account_of
from exporter.client import Client, Listing
from exporter.clock import Clock
from exporter.counters import ApiCounters
from exporter.retry import RetryBudget
from exporter.settings import Settings, Space
from exporter.throttle import Throttle
from exporter.transport import Transport
from exporter.workers import Workers

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Upstream:
    """One server, asked with one key.

    Attributes:
        client: asks for pages.
        key: the key, and where it comes from.
        workers: threads that fetch pages; of its own, so that a server on hold keeps no other one waiting.
    """

    client: Client
    key: FixedKey | KeyFile
    workers: Workers


class Upstreams:
    """All servers and keys of the process, opened as spaces ask for them; safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock, counters: ApiCounters) -> None:
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._budget = RetryBudget()
        self._slots = threading.BoundedSemaphore(settings.concurrency)
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, object], Upstream] = {}
        self._walks: defaultdict[tuple[str, object], Workers] = defaultdict(
            lambda: Workers(settings.concurrency, "walk")
        )
        self._told: set[tuple[str, str]] = set()

    def of(self, space: Space) -> Upstream:
        """Return the server and key of a space, the same for every space that has the same ones.

        Raises:
            OSError: the key file cannot be read.
            ValueError: the key file holds no key.
        """
        identity = _identity(space)
        with self._lock:
            if identity not in self._opened:
                self._opened[identity] = self._open(space)
            upstream = self._opened[identity]
        self._tell_of_another_account(space, account_of(upstream.key.current()))
        return upstream

    def walks_of(self, space: Space) -> Workers:
        """Return the threads that walk through a space.

        Every server and key has its own: walks that wait for their turn to ask one keep the spaces of no other waiting.
        """
        return self._walks[_identity(space)]

    def keys_usable(self) -> bool:
        """Return whether every key file could be used when it was last read."""
        with self._lock:
            return all(upstream.key.usable for upstream in self._opened.values())

    def _tell_of_another_account(self, space: Space, account: str) -> None:
        """Warn once for each account: probes may ask for any number of its scopes."""
        if account not in {"", space.account} and (account, space.account) not in self._told:
            self._told.add((account, space.account))
            _log.warning("the key is of another account than the space", space=space.ref, key_account=account)

    def _open(self, space: Space) -> Upstream:
        settings = self._settings
        key = KeyFile(space.api_key_file) if space.api_key_file else FixedKey(_text(space.api_key))
        client = Client(
            self._transport(space),
            space.base_url + settings.api_prefix,
            key,
            bearer=settings.auth_scheme == "bearer",
            request_timeout=settings.request_timeout,
            throttle=Throttle(settings.rate_limit, self._clock, self._counters),
            budget=self._budget,
            slots=self._slots,
            counters=self._counters,
            clock=self._clock,
            jitter=random.Random(),
        )
        return Upstream(client, key, Workers(settings.concurrency, "page"))

    def _transport(self, space: Space) -> Transport:
        settings = self._settings
        cert = settings.client_cert_file
        return Transport(
            space.base_url,
            connections=settings.concurrency,
            ca_file=settings.ca_file,
            client_cert=(cert, settings.client_key_file) if cert else None,
            proxy_url=_text(settings.proxy_url) or None,
        )


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


def _identity(space: Space) -> tuple[str, object]:
    return space.base_url, space.api_key_file or space.api_key


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
