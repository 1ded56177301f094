"""Errors that end a refresh: one root, and a subclass for each `reason` of `har_refresh_failures_total`.

```
RefreshError
├── RequestTimeout   timeout        no complete response before the deadline
├── DnsError         dns            the host name has no address
├── ConnectError     connect        no connection, or it broke before the complete response
├── TlsError         tls            the certificate or the handshake was refused
├── ProxyError       proxy          the proxy refused or could not be reached
├── RedirectError    redirect       3xx: redirects are never followed
├── AuthError        auth           401
├── ForbiddenError   forbidden      403
├── NotFoundError    not_found      404
├── RateLimitedError rate_limited   429
├── ClientError      client_error   any other 4xx
├── ServerError      server_error   5xx
├── TooLargeError    too_large      a response over the size limit
├── BadJsonError     bad_json       the body is not JSON
├── BadShapeError    bad_shape      JSON or another content type, but no list of artifacts
├── PaginationError  pagination     the pages repeat, or hold more rows than requested
└── InternalError    internal       a bug in the exporter
```
"""

from typing import ClassVar


class RefreshError(Exception):
    """A refresh of one space failed.

    Attributes:
        reason: the value of the `reason` label.
        hint: what the operator can change, in one sentence; may be empty.
        status: the HTTP status of the response; None without a response.
        retry_after: seconds that the server asked to wait; None if it did not.
    """

    reason: ClassVar[str]
    hint: str = ""

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint
        self.status = status
        self.retry_after = retry_after


class RequestTimeout(RefreshError):  # noqa: N818 - the usual name
    """There was no complete response before the deadline."""

    reason = "timeout"
    hint = "check that base_url can be reached from this host, or raise request_timeout or refresh_timeout"


class DeadlineError(RequestTimeout):
    """The time of the whole refresh is over, or will be before a request may be sent."""


class DnsError(RefreshError):
    """The host name has no address."""

    reason = "dns"
    hint = "check the host in base_url (or proxy_url) and the DNS resolver of this host"


class ConnectError(RefreshError):
    """There was no connection, or it broke before the complete response."""

    reason = "connect"
    hint = "check base_url, proxy_url, and the network and firewalls on the way"


class TlsError(RefreshError):
    """The certificate or the handshake was refused."""

    reason = "tls"
    hint = "set ca_file to the authority that signed the server's certificate, and check the host in base_url"


class ProxyError(RefreshError):
    """The proxy refused the request or could not be reached."""

    reason = "proxy"
    hint = "check proxy_url, HTTPS_PROXY and NO_PROXY"


class RedirectError(RefreshError):
    """The server returned a redirect, which is never followed: the key would be sent to the other host."""

    reason = "redirect"
    hint = "set base_url to the host that serves the API"


class AuthError(RefreshError):
    """The server does not accept the key."""

    reason = "auth"
    hint = "check api_key or api_key_file: the key is wrong, expired or revoked, or auth_scheme does not match"


class ForbiddenError(RefreshError):
    """The key may not list the artifacts of this space."""

    reason = "forbidden"
    hint = "grant the key's service account artifact_artregistry_view on all registries of this space, or change spaces"


class NotFoundError(RefreshError):
    """The server has no such path."""

    reason = "not_found"
    hint = "check the entry of this space in spaces, and api_prefix"


class RateLimitedError(RefreshError):
    """The server asked for fewer requests."""

    reason = "rate_limited"
    hint = "lower rate_limit, raise cache_ttl, or give this exporter a key of its own"


class ClientError(RefreshError):
    """The server refused the request."""

    reason = "client_error"
    hint = "check the entry of this space in spaces: an unknown account, organization or project gives this error"


class ServerError(RefreshError):
    """The server failed."""

    reason = "server_error"


class TooLargeError(RefreshError):
    """The response is larger than a page may be."""

    reason = "too_large"
    hint = "lower page_size"


class BadJsonError(RefreshError):
    """The body is not JSON."""

    reason = "bad_json"
    hint = "check base_url and api_prefix: something other than the API responds"


class BadShapeError(RefreshError):
    """The response is not a list of artifacts."""

    reason = "bad_shape"
    hint = "check base_url and api_prefix: the response is not that of the Artifact Registry API"


class PaginationError(RefreshError):
    """The pages do not lead through the listing."""

    reason = "pagination"


class InternalError(RefreshError):
    """A bug in the exporter."""

    reason = "internal"
    hint = "please report this with the log lines around it"


REASONS: tuple[str, ...] = tuple(error.reason for error in RefreshError.__subclasses__())
"""The closed set of reasons, in the order of the tree above."""


def error_of(reason: str, message: str, hint: str) -> RefreshError:
    """Return an error with one of the reasons."""
    kinds = {error.reason: error for error in RefreshError.__subclasses__()}
    return kinds[reason](message, hint=hint)


def forget_calls(error: BaseException) -> None:
    """Drop the tracebacks and causes of an error, and with them the frames that hold the key and what was read.

    An error that is kept would otherwise keep those frames until the garbage collector runs.
    """
    origins = error.__cause__, error.__context__
    # The frames of a traceback hold local variables, the key among them.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    for origin in origins:
        if origin is not None:
            forget_calls(origin)
