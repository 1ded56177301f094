"""Client of the Artifact Registry API: address, key, retries, and the error that a response stands for."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import ClassVar, Protocol
from urllib.parse import quote, urlencode

from exporter import __version__
from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.envelope import error_message, largest_body
from exporter.harness.errors import (
    AuthError,
    BadShapeError,
    ClientError,
    ConnectError,
    DeadlineError,
    ForbiddenError,
    NotFoundError,
    ProxyError,
    RateLimitedError,
    RedirectError,
    RefreshError,
    ServerError,
)
from exporter.harness.keys import KeySource, looks_of
from exporter.harness.limits import TRIES, Limits, backoff
from exporter.harness.throttle import LONGEST_PAUSE
from exporter.harness.transport import Response, Transport
from exporter.labels import Label, clean

SAFE_PAGE_SIZE = 100
"""Rows per page that every server is known to accept."""

# Longer requests to wait are cut, so that the key is tried again within an hour.
_LONGEST_HOLD = 3_600.0
_HTML = {"text/html", "application/xhtml+xml"}
# 520 to 524 are those of a large content network whose server does not answer, 529 of an overloaded one.
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
_ERRORS: Mapping[int, type[RefreshError]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: ProxyError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


ARTIFACTS = "artifacts"
"""Source of the listing of artifacts."""


class Source(Protocol):
    """Pages of the API that can be asked for."""

    @property
    def space(self) -> str:
        """The space that they are about: `account`, `account/org` or `account/org/project`."""
        ...

    @property
    def source(self) -> str:
        """What they belong to: `ARTIFACTS`, or another source, which may take a tenth of the rate."""
        ...

    def url(self, api_url: str, page: int, size: int) -> str:
        """Return the URL of one page.

        Args:
            api_url: base URL and API prefix.
            page: number of the page, from 0.
            size: rows per page.

        Raises:
            NotFoundError: there is no such URL below this API prefix.
        """
        ...


def path_of(space: str) -> str:
    """Return the path of a space; each segment is encoded on its own."""
    return "/".join(quote(segment, safe="") for segment in space.split("/"))


@dataclass(frozen=True, slots=True)
class Listing:
    """Artifacts to list: those of one space, filtered.

    Attributes:
        space: `account`, `account/org` or `account/org/project`.
        registries: registries to list; empty for all.
        package_types: package types to list; empty for all.
        latest_version: list only the latest version of each artifact; None for the API's default.
        deployed_artifact: list only deployed artifacts; None for the API's default.
        search_term: list only artifacts whose name contains this text; None for all.
        oldest_first: the opposite of the usual order.
    """

    source: ClassVar[str] = ARTIFACTS

    space: str
    registries: tuple[str, ...] = ()
    package_types: tuple[str, ...] = ()
    latest_version: bool | None = None
    deployed_artifact: bool | None = None
    search_term: str | None = None
    oldest_first: bool = False

    def path(self) -> str:
        """Return the path below the API's prefix; the plus stays a plus."""
        return f"/spaces/{path_of(self.space)}/+/artifacts"

    def url(self, api_url: str, page: int, size: int) -> str:
        """Return the URL of one page."""
        return f"{api_url}{self.path()}?{self.query(page, size)}"

    def query(self, page: int, size: int) -> str:
        """Return the query for one page.

        Usually newest first: rows that change during a refresh move to pages that were read already and are read again
        there, instead of being missed.
        """
        parameters = [
            ("page", str(page)),
            ("size", str(size)),
            ("sort_field", "lastModified"),
            ("sort_order", "ASC" if self.oldest_first else "DESC"),
            *(("reg_identifier", registry) for registry in self.registries),
            *(("package_type", package_type) for package_type in self.package_types),
        ]
        optional = {
            "latest_version": self.latest_version,
            "deployed_artifact": self.deployed_artifact,
            "search_term": self.search_term,
        }
        for name, value in optional.items():
            if value is not None:
                parameters.append((name, str(value).lower() if isinstance(value, bool) else value))
        return urlencode(parameters)


class Client:
    """Client of one server with one key; safe to share between threads."""

    def __init__(
        self,
        transport: Transport,
        api_url: str,
        key: KeySource,
        limits: Limits,
        *,
        bearer: bool,
        request_timeout: float,
        counters: ApiCounters,
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        """Send nothing yet.

        Args:
            transport: sends requests to the server.
            api_url: base URL and API prefix.
            key: source of the key.
            limits: limits on all requests of the process.
            bearer: send the key as `Authorization: Bearer` instead of `x-api-key`.
            request_timeout: seconds that one whole request may take.
            counters: counts the requests.
            clock: source of time.
            jitter: spreads retries.
        """
        self._transport = transport
        self._api_url = api_url
        self._key = key
        self._limits = limits
        self._bearer = bearer
        self._request_timeout = request_timeout
        self._counters = counters
        self._clock = clock
        self._jitter = jitter

    def wait_for_turn(self, deadline: float, source: str = ARTIFACTS) -> None:
        """Wait until the limits of the key allow a request; it counts as sent.

        Args:
            deadline: monotonic time at which the request is of no more use.
            source: what it belongs to.

        Raises:
            DeadlineError: it may be sent only after the deadline; raised immediately.
            Stopped: the process is shutting down.
        """
        key = self._key.current()
        if source != ARTIFACTS:
            self._limits.throttle(self._api_url, key, source).acquire(deadline)
        self._limits.throttle(self._api_url, key).acquire(deadline)

    def page(self, listing: Source, page: int, size: int, deadline: float) -> bytes:
        """Return the body of one page, after retries if these may help; to be called after `wait_for_turn`.

        Args:
            listing: pages to ask for.
            page: number of the page, from 0.
            size: rows per page.
            deadline: monotonic time by which every request and every wait ends.

        Raises:
            RefreshError: the page could not be read; the subclass is the reason.
            Stopped: the process is shutting down.
        """
        url = listing.url(self._api_url, page, size)
        send = partial(self._transport.get, url, space=listing.space, max_body=largest_body(size))
        # Once per page, not per try: retries must not earn further retries.
        self._limits.budget.earn()
        key_renewed = False
        tries = 0
        while True:
            # Read again for each try: the key may have been rotated meanwhile.
            key = self._key.current()
            try:
                return self._try(send, key, deadline)
            # A rotated key is refused once; the file may hold the new one already.
            except (AuthError, ForbiddenError) as error:
                if key_renewed or not self._key.renew(key, self._patience(deadline)):
                    if isinstance(error, AuthError) and (looks := looks_of(key, listing.space)):
                        error.hint = f"{looks}; {error.hint}"
                    raise
                key_renewed = True
                self._counters.count_retry(error.reason)
                self.wait_for_turn(deadline, listing.source)
            except (ConnectError, ServerError, RateLimitedError, ClientError) as error:
                tries += 1
                # A larger page may be the reason, and is given up instead; but not for a limit of requests.
                if size > SAFE_PAGE_SIZE and not isinstance(error, RateLimitedError):
                    raise
                self._wait_before_retry(error, key, tries, deadline)
                self._counters.count_retry(error.reason)
                self.wait_for_turn(deadline, listing.source)

    def label(self, text: str) -> str:
        """Return a text of the server as a label value, without the key: some servers echo what they were sent."""
        # Before the text is cut, or a part of the key could stay.
        return clean(self._key.blot(text))

    def _wait_before_retry(self, error: RefreshError, key: str, tries: int, deadline: float) -> None:
        """Wait for the next try, or raise the error if there is none."""
        pause = backoff(tries - 1, self._jitter) if error.retry_after is None else error.retry_after
        too_late = pause > LONGEST_PAUSE or self._clock.monotonic() + pause >= deadline
        permanent = error.status is not None and error.status not in _TEMPORARY
        again = not (permanent or too_late or tries == TRIES) and self._limits.budget.spend()
        # The limit applies to the key, so that every other request of the key waits too.
        if isinstance(error, RateLimitedError):
            self._limits.throttle(self._api_url, key).hold(pause)
        if not again:
            raise error
        self._clock.wait(pause)

    def _try(self, send: Callable[[dict[str, str], float], Response], key: str, deadline: float) -> bytes:
        """Send one request, and return the body of a good response."""
        with self._slot(deadline):
            started = self._clock.monotonic()
            timeout = self._timeout(deadline)
            code = "error"
            try:
                response = send(self._headers(key), timeout)
                code = str(response.status)
            finally:
                self._counters.count_request(code, self._clock.monotonic() - started)
        try:
            _check(response, self._clock.time(), self.label)
        except RefreshError as error:
            if (error.retry_after or 0.0) > LONGEST_PAUSE:
                self._limits.throttle(self._api_url, key).hold(error.retry_after or 0.0)
            raise
        return response.body

    @contextmanager
    def _slot(self, deadline: float) -> Iterator[None]:
        """Hold one of the slots for requests in flight."""
        slots = self._limits.slots  # a reload may replace them meanwhile
        if not slots.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            hint = "raise concurrency or refresh_timeout"
            raise DeadlineError("other requests were in flight until the deadline of the refresh", hint=hint)
        try:
            yield
        finally:
            slots.release()

    def _timeout(self, deadline: float) -> float:
        timeout = self._patience(deadline)
        if not timeout:
            hint = "raise refresh_timeout or page_size"
            raise DeadlineError("the deadline of the refresh has passed", hint=hint)
        return timeout

    def _patience(self, deadline: float) -> float:
        """Return the seconds that a request may take now."""
        return min(self._request_timeout, max(0.0, deadline - self._clock.monotonic()))

    def _headers(self, key: str) -> dict[str, str]:
        authentication = {"Authorization": f"Bearer {key}"} if self._bearer else {"x-api-key": key}
        return {"Accept": "application/json", "User-Agent": f"har-exporter/{__version__}", **authentication}


def _check(response: Response, now: float, label: Label) -> None:
    """Raise the error that a status or a content type stands for, unless the response is a page."""
    if response.status == HTTPStatus.OK:
        _check_content_type(response.content_type, label)
        return
    message = f"the server returned {response.status}"
    if detail := error_message(response.body):
        message += f": {label(detail)}"
    raise _error(response.status)(
        message, hint=_hint(response), status=response.status, retry_after=_seconds(response.retry_after, now)
    )


def _hint(response: Response) -> str | None:
    """Return a hint that fits a response better than that of its status; None for that one."""
    if response.status != HTTPStatus.FORBIDDEN:
        return None
    if response.content_type in _HTML:
        return "a proxy or firewall on the way, not the API, refused the request: check base_url and proxy_url"
    if "unauthorized" in error_message(response.body).lower():
        return "the server does not read the key as it is sent: check auth_scheme"
    return None


def _error(status: int) -> type[RefreshError]:
    if status in _ERRORS:
        return _ERRORS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError
    if status >= HTTPStatus.BAD_REQUEST:
        return ClientError
    return RedirectError if status >= HTTPStatus.MULTIPLE_CHOICES else BadShapeError


def _check_content_type(content_type: str, label: Label) -> None:
    # Some servers send no Content-Type; the JSON decoder then decides.
    if content_type in {"", "application/json", "text/json"} or content_type.endswith("+json"):
        return
    if content_type in _HTML:
        hint = "something other than the API, such as a sign-in page, responds: check base_url and api_prefix"
        raise BadShapeError("the server returned an HTML page", hint=hint)
    raise BadShapeError(f"the server returned Content-Type {label(content_type)}")


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Return a Retry-After, which is seconds or a date, in seconds from now; None if it is absent or neither."""
    text = (retry_after or "").strip()
    if text.isdigit() and text.isascii():
        return min(float(text), _LONGEST_HOLD)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(0.0, seconds), _LONGEST_HOLD)
