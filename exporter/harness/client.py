"""One page of the List Artifacts API: its address, the key, retries, and what an answer means."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote, urlencode

from exporter import __version__
from exporter.clock import Clock
from exporter.harness.counters import ApiCounters
from exporter.harness.errors import (
    AuthError,
    BadShapeError,
    ClientError,
    ConnectError,
    ForbiddenError,
    NotFoundError,
    ProxyError,
    RateLimitedError,
    RedirectError,
    RefreshError,
    RequestTimeout,
    ServerError,
)
from exporter.harness.keys import KeySource
from exporter.harness.page import error_message
from exporter.harness.retry import TRIES, RetryBudget, backoff
from exporter.harness.slots import Slots
from exporter.harness.throttle import Throttle
from exporter.harness.transport import Answer, Transport
from exporter.labels import clean

_LONGEST_HOLD = 900.0
_DAY = 86_400.0
_HTML = {"text/html", "application/xhtml+xml"}
_PASSING = {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT}  # fmt: skip
_ERRORS: Mapping[int, type[RefreshError]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: ProxyError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for: the artifacts of one space, filtered.

    Attributes:
        space: `account`, `account/org` or `account/org/project`.
        registries: registries to list; all where empty.
        package_types: package types to list; all where empty.
        latest_version: list only the latest version of each artifact; None to leave that to the API.
        deployed_artifact: list only artifacts that are deployed; None to leave that to the API.
        search_term: list only artifacts whose name holds this text; None for all.
    """

    space: str
    registries: tuple[str, ...] = ()
    package_types: tuple[str, ...] = ()
    latest_version: bool | None = None
    deployed_artifact: bool | None = None
    search_term: str | None = None

    def path(self) -> str:
        """Return the path below the API's prefix; each segment is encoded on its own, the plus stays a plus."""
        segments = "/".join(quote(segment, safe="") for segment in self.space.split("/"))
        return f"/spaces/{segments}/+/artifacts"

    def query(self, page: int, size: int) -> str:
        """Return the query for one page; the order makes rows that change meanwhile repeat rather than vanish."""
        parameters = [
            ("page", str(page)),
            ("size", str(size)),
            ("sort_field", "lastModified"),
            ("sort_order", "DESC"),
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
    """Asks one server, with one key, for pages; safe to share between threads."""

    def __init__(
        self,
        transport: Transport,
        api_url: str,
        key: KeySource,
        *,
        bearer: bool,
        request_timeout: float,
        throttle: Callable[[str], Throttle],
        budget: RetryBudget,
        slots: Slots,
        counters: ApiCounters,
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        """Send nothing yet.

        Args:
            transport: how requests reach the server.
            api_url: base URL and API prefix.
            key: the key to send.
            bearer: send the key as `Authorization: Bearer`, not as `x-api-key`.
            request_timeout: seconds that one request may take, whole.
            throttle: how many requests a key may send to this server.
            budget: how many retries the process may send.
            slots: how many requests the process may have in flight.
            counters: what the requests are counted in.
            clock: where the time comes from.
            jitter: spreads retries.
        """
        self._transport = transport
        self._api_url = api_url
        self._key = key
        self._bearer = bearer
        self._request_timeout = request_timeout
        self._throttle = throttle
        self._budget = budget
        self._slots = slots
        self._counters = counters
        self._clock = clock
        self._jitter = jitter

    def page(self, listing: Listing, page: int, size: int, deadline: float) -> bytes:
        """Return the body of one page, after retries where these may help.

        Args:
            listing: what to list.
            page: the page's number, from 0.
            size: rows a page.
            deadline: monotonic time that no request and no wait goes beyond.

        Raises:
            RefreshError: there is no page to be had; the subclass says why.
            Stopped: the process is shutting down.
        """
        url = f"{self._api_url}{listing.path()}?{listing.query(page, size)}"
        self._budget.earn()
        key_renewed = False
        tries = 0
        while True:
            key = self._key.current()
            try:
                return self._try(url, key, deadline)
            except (AuthError, ForbiddenError) as error:
                if key_renewed or not self._key.renew(refused=key):
                    raise
                key_renewed = True
                self._counters.count_retry(error.reason)
            except (ConnectError, ServerError, RateLimitedError) as error:
                tries += 1
                self._wait_before_retry(error, key, tries, deadline)
                self._counters.count_retry(error.reason)

    def _wait_before_retry(self, error: RefreshError, key: str, tries: int, deadline: float) -> None:
        """Wait for another try, or raise the error again where there shall be none."""
        pause = backoff(tries - 1, self._jitter) if error.retry_after is None else error.retry_after
        too_late = self._clock.monotonic() + pause >= deadline
        lasting = isinstance(error, ServerError) and error.status not in _PASSING
        again = not (lasting or too_late or tries == TRIES) and self._budget.spend()
        if not again and error.retry_after is not None:
            pause = error.retry_after = min(pause, _LONGEST_HOLD)
        if isinstance(error, RateLimitedError):
            self._throttle(key).hold(pause)
        if not again:
            raise error
        self._clock.wait(pause)

    def _try(self, url: str, key: str, deadline: float) -> bytes:
        """Send one request, and return the body of a good answer."""
        self._throttle(key).acquire(deadline)
        with self._slot(deadline):
            started = self._clock.monotonic()
            timeout = self._timeout(started, deadline)
            code = "error"
            try:
                answer = self._transport.get(url, self._headers(key), timeout)
                code = str(answer.status)
            finally:
                self._counters.count_request(code, self._clock.monotonic() - started)
        answer = answer.without(key)
        _check(answer, self._clock.time())
        return answer.body

    @contextmanager
    def _slot(self, deadline: float) -> Iterator[None]:
        """Be one of the requests in flight, as soon as there is room for it."""
        if not self._slots.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            hint = "raise concurrency or refresh_timeout"
            raise RequestTimeout("other requests were in flight until the walk's deadline", hint=hint)
        try:
            yield
        finally:
            self._slots.release()

    def _timeout(self, now: float, deadline: float) -> float:
        if deadline <= now:
            raise RequestTimeout("the walk's deadline has passed", hint="raise refresh_timeout or page_size")
        return min(self._request_timeout, deadline - now)

    def _headers(self, key: str) -> dict[str, str]:
        authentication = {"Authorization": f"Bearer {key}"} if self._bearer else {"x-api-key": key}
        return {"Accept": "application/json", "User-Agent": f"har-exporter/{__version__}", **authentication}


def _check(answer: Answer, now: float) -> None:
    """Raise what the status or the content type of an answer means, unless it means a page."""
    if answer.status == HTTPStatus.OK:
        _check_content_type(answer.content_type)
        return
    message = f"the server answered {answer.status}"
    if said := error_message(answer.body):
        message += f": {said}"
    kind = _error(answer.status)
    retry_after = _seconds(answer.retry_after, now) if kind in {RateLimitedError, ServerError} else None
    raise kind(message, status=answer.status, retry_after=retry_after)


def _error(status: int) -> type[RefreshError]:
    if status in _ERRORS:
        return _ERRORS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError
    if status >= HTTPStatus.BAD_REQUEST:
        return ClientError
    return RedirectError if status >= HTTPStatus.MULTIPLE_CHOICES else BadShapeError


def _check_content_type(content_type: str) -> None:
    if content_type in {"", "application/json", "text/json"} or content_type.endswith("+json"):
        return
    if content_type in _HTML:
        hint = "a web page answers where the API should, such as a sign-in page: check base_url and api_prefix"
        raise BadShapeError("the server answered with an HTML page", hint=hint)
    raise BadShapeError(f"the server answered with Content-Type {clean(content_type)}")


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Return a Retry-After, seconds or a date, in seconds from now; None where it is absent or neither."""
    text = (retry_after or "").strip()
    if text.isdigit() and text.isascii():
        return min(float(text), _DAY)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(0.0, seconds), _DAY)
