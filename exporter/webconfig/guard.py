"""What stands before the endpoints as the web config file says: rate limit, headers and authentication."""

from collections.abc import Mapping

from exporter.clock import Clock
from exporter.config.settings import SettingsError
from exporter.serving.asgi import Application, Message, Receive, Scope, Send
from exporter.webconfig.file import RateLimit, WebConfig, WebConfigFile
from exporter.webconfig.logins import Logins, TooManyLoginsError

_Header = tuple[bytes, bytes]


class _Bucket:
    """A bucket of tokens, full at first."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled = clock.monotonic()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = self._clock.monotonic()
        self._tokens = min(self.limit.burst, self._tokens + (now - self._filled) / self.limit.interval)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Guard:
    """Lets through to an application what the web config file lets through, by what it says at that moment."""

    def __init__(self, app: Application, file: WebConfigFile, clock: Clock) -> None:
        """Stand before an application.

        Args:
            app: what is guarded.
            file: what says how.
            clock: what the rate limit goes by.
        """
        self._app = app
        self._file = file
        self._clock = clock
        self._logins = Logins()
        self._bucket: _Bucket | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        try:
            config = self._file.current()
        except SettingsError:
            await _refuse(send, 500, b"The web config file cannot be used; the log says why.\n")
            return
        await self._guarded(config, scope, receive, _with_headers(send, config.http_server_config.headers))

    async def _guarded(self, config: WebConfig, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._within(config.limit):
            await _refuse(send, 429, b"Too many requests.\n")
            return
        try:
            allowed = not config.basic_auth_users or await self._logins.allow(
                config.basic_auth_users, _authorization(scope)
            )
        except TooManyLoginsError:
            await _refuse(send, 503, b"Too many logins wait already.\n")
            return
        if allowed:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, 401, b"Unauthorized.\n", (b"www-authenticate", b"Basic"))

    def _within(self, limit: RateLimit | None) -> bool:
        if limit is None:
            self._bucket = None
            return True
        if self._bucket is None or self._bucket.limit != limit:
            self._bucket = _Bucket(limit, self._clock)
        return self._bucket.take()


def _authorization(scope: Scope) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == b"authorization"), b"")


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Add headers to an answer, in the place of its own of the same name."""
    added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    names = {name for name, _ in added}

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [header for header in message["headers"] if header[0] not in names]
            message = {**message, "headers": own + added}
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, body: bytes, *headers: _Header) -> None:
    always = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*always, length, *headers]})
    await send({"type": "http.response.body", "body": body})
