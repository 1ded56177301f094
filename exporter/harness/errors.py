"""Why a refresh failed: one root, and a subclass for each `reason` of `har_refresh_failures_total`.

```
RefreshError
├── RequestTimeout   timeout        no whole answer within the deadline
├── DnsError         dns            the host's name has no address
├── ConnectError     connect        no connection, or one that broke before the whole answer came
├── TlsError         tls            the certificate or the handshake was refused
├── ProxyError       proxy          the proxy refused or could not be reached
├── RedirectError    redirect       3xx: redirects are never followed
├── AuthError        auth           401
├── ForbiddenError   forbidden      403
├── NotFoundError    not_found      404
├── RateLimitedError rate_limited   429
├── ClientError      client_error   any other 4xx
├── ServerError      server_error   5xx
├── TooLargeError    too_large      an answer beyond the size cap
├── BadJsonError     bad_json       the body is not JSON
├── BadShapeError    bad_shape      JSON, or another content type, that is not a list of artifacts
├── PaginationError  pagination     the pages repeat, or hold more rows than asked for
└── InternalError    internal       a fault of the exporter itself
```
"""

from typing import ClassVar


class RefreshError(Exception):
    """A refresh of one space failed.

    Attributes:
        reason: the value of the `reason` label.
        hint: what the operator can change, in one sentence; empty where there is nothing.
        status: the HTTP status of the answer that told; None where there was no answer.
        retry_after: seconds that the server asked to be left alone; None where it did not.
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


class RequestTimeout(RefreshError):  # noqa: N818 - the field's own name
    """No whole answer came within the deadline."""

    reason = "timeout"
    hint = "check that base_url can be reached from here, or raise request_timeout or refresh_timeout"


class DnsError(RefreshError):
    """The host's name has no address."""

    reason = "dns"
    hint = "check the host in base_url (or proxy_url) and the resolver of this machine"


class ConnectError(RefreshError):
    """There was no connection, or it broke before the whole answer came."""

    reason = "connect"
    hint = "check base_url, the network and firewalls between here and there, and proxy_url"


class TlsError(RefreshError):
    """The server's certificate or the handshake was refused."""

    reason = "tls"
    hint = "set ca_file to the certificate authority that signed the server's certificate, and check base_url's host"


class ProxyError(RefreshError):
    """The proxy refused or could not be reached."""

    reason = "proxy"
    hint = "check proxy_url, HTTPS_PROXY and NO_PROXY"


class RedirectError(RefreshError):
    """The server answered with a redirect, which is never followed: the key would go along."""

    reason = "redirect"
    hint = "set base_url to the host that serves the API itself"


class AuthError(RefreshError):
    """The server does not accept the key."""

    reason = "auth"
    hint = "check api_key or api_key_file: the key is wrong, expired or revoked, or auth_scheme does not fit the server"


class ForbiddenError(RefreshError):
    """The key may not list the artifacts of this space."""

    reason = "forbidden"
    hint = "give the key's service account artifact_artregistry_view on all registries of this space, or change spaces"


class NotFoundError(RefreshError):
    """There is no such path on the server."""

    reason = "not_found"
    hint = "check the space's entry in spaces, and api_prefix"


class RateLimitedError(RefreshError):
    """The server asked for fewer requests."""

    reason = "rate_limited"
    hint = "lower rate_limit, raise cache_ttl, or give this exporter a key of its own"


class ClientError(RefreshError):
    """The server refused the request."""

    reason = "client_error"
    hint = "check the space's entry in spaces: an unknown account, organization or project is refused like this"


class ServerError(RefreshError):
    """The server failed."""

    reason = "server_error"


class TooLargeError(RefreshError):
    """The answer is larger than any page may be."""

    reason = "too_large"
    hint = "lower page_size"


class BadJsonError(RefreshError):
    """The body is not JSON."""

    reason = "bad_json"
    hint = "check base_url and api_prefix: something between here and the API answers in its place"


class BadShapeError(RefreshError):
    """The answer is not a list of artifacts."""

    reason = "bad_shape"
    hint = "check base_url and api_prefix: this does not answer like the artifact registry's API"


class PaginationError(RefreshError):
    """The pages do not lead through the listing."""

    reason = "pagination"


class InternalError(RefreshError):
    """A fault of the exporter itself."""

    reason = "internal"
    hint = "please report this with the log around it"


REASONS: tuple[str, ...] = tuple(error.reason for error in RefreshError.__subclasses__())
"""The closed set of reasons, in the order of the tree above."""


def forget_calls(error: BaseException) -> None:
    """Have an error, and those that it came from, refer no more to calls, and so to all that they read and to a key.

    Calls that keep such an error would keep each other until the garbage collector comes by.
    """
    origins = error.__cause__, error.__context__
    error.__traceback__ = error.__cause__ = error.__context__ = None
    for origin in origins:
        if origin is not None:
            forget_calls(origin)
