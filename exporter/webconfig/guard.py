"""Guard of the endpoints: rate limit, headers and authentication of the web config file."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from exporter.clock import Clock
from exporter.rates import TokenBucket
from exporter.texts import SettingsError
from exporter.webconfig.file import RateLimit, WebConfig, WebConfigFile
from exporter.webconfig.logins import Logins, TooManyLoginsError

_Header = tuple[bytes, bytes]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Guard:
    """ASGI application that passes on the requests that the web config file allows at that moment."""

    def __init__(self, app: _Application, file: WebConfigFile, clock: Clock) -> None:
        """Guard an application.

        Args:
            app: the application.
            file: the web config file.
            clock: source of time, for the rate limit.
        """
        self._app = app
        self._file = file
        self._clock = clock
        self._logins = Logins()
        self._limit: RateLimit | None = None
        self._bucket = TokenBucket(0.0, 0.0)
        self._filled = 0.0

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Refuse one request, or pass it on."""
        try:
            config = self._file.current()
        except SettingsError:
            await _refuse(send, 500, b"The web config file is invalid; see the log.\n")
            return
        await self._guarded(config, scope, receive, _with_headers(send, config.http_server_config.headers))

    async def _guarded(self, config: WebConfig, scope: _Message, receive: _Receive, send: _Send) -> None:
        # First, so that a flood of wrong passwords costs no hashing.
        if not self._within(config.limit):
            await _refuse(send, 429, b"Too many requests.\n")
            return
        try:
            allowed = not config.basic_auth_users or await self._logins.allow(
                config.basic_auth_users, _authorization(scope)
            )
        except TooManyLoginsError:
            await _refuse(send, 503, b"Too many concurrent logins.\n")
            return
        if allowed:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, 401, b"Unauthorized.\n", (b"www-authenticate", b"Basic"))

    def _within(self, limit: RateLimit | None) -> bool:
        """Return whether a request is within the rate limit; a new limit starts with a full bucket."""
        now = self._clock.monotonic()
        if limit != self._limit:
            self._limit = limit
            self._bucket = TokenBucket(limit.burst, limit.burst) if limit else self._bucket
        elif limit:
            self._bucket.add((now - self._filled) / limit.interval)
        self._filled = now
        return limit is None or self._bucket.take()


def _authorization(scope: _Message) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == b"authorization"), b"")


def _with_headers(send: _Send, headers: Mapping[str, str]) -> _Send:
    """Add headers to a response; they replace its own headers of the same name."""
    added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    # In lower case, as ASGI gives them.
    names = {name for name, _ in added}

    async def send_with_headers(message: _Message) -> None:
        if message["type"] == "http.response.start":
            own = [header for header in message["headers"] if header[0] not in names]
            message = {**message, "headers": own + added}
        await send(message)

    return send_with_headers


async def _refuse(send: _Send, status: int, body: bytes, *headers: _Header) -> None:
    always = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*always, length, *headers]})
    await send({"type": "http.response.body", "body": body})
