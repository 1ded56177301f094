"""Certificate authorities that the server's certificate is checked against."""

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from requests.utils import DEFAULT_CA_BUNDLE_PATH

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Authorities(NamedTuple):
    """Certificate authorities.

    Attributes:
        path: a file with all of them, or a directory as OpenSSL looks them up in.
        source: who named them: `ca_file`, a variable, `system` or `certifi`.
    """

    path: str
    source: str

    def __str__(self) -> str:
        return f"{self.source} ({self.path})"


def authorities(ca_file: Path | None, environment: Mapping[str, str] = os.environ) -> Authorities:
    """Return the authorities to trust: those of the setting, of a variable, of the system, or of certifi.

    Args:
        ca_file: the setting; None if it is not set.
        environment: variables and their values.
    """
    if ca_file is not None:
        return Authorities(str(ca_file), "ca_file")
    for variable in _VARIABLES:
        if environment.get(variable):
            return Authorities(environment[variable], variable)
    # Not of ssl.get_default_verify_paths(), which has the variables in it.
    for path in (ssl.get_default_verify_paths().openssl_cafile, ssl.get_default_verify_paths().openssl_capath):
        if _holds_any(Path(path)):
            return Authorities(path, "system")
    return Authorities(DEFAULT_CA_BUNDLE_PATH, "certifi")


def _holds_any(path: Path) -> bool:
    """Return whether there is a file, or a directory with any file."""
    with suppress(OSError):
        return any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0
    return False
