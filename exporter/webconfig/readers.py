"""Readers of the values of the web config file.

A reader takes what the YAML holds, texts, lists and mappings, and returns the value. It raises ValueError with a
message that says what is accepted; a fault of one entry of a mapping is a pair of its key and the message.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationInfo

from exporter.texts import read_text

CIPHERS = {
    f"TLS_{exchange}_WITH_{cipher}": f"{prefix}{name}"
    for exchange, prefix in (("ECDHE_ECDSA", "ECDHE-ECDSA-"), ("ECDHE_RSA", "ECDHE-RSA-"), ("RSA", ""))
    for cipher, name in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
    if (exchange, cipher) != ("RSA", "CHACHA20_POLY1305_SHA256")
}
"""Cipher suites up to TLS 1.2: their names in Go, and in OpenSSL."""

CIPHERS_13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
"""Cipher suites of TLS 1.3, which are always all enabled."""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""Curves: their names in Go, and in OpenSSL."""

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Headers that may be set, and their accepted values; none for any."""

_UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})
_OLD_VERSIONS = frozenset({"TLS10", "TLS11"})
# The last letter of the salt has four unused bits; bcrypt refuses a salt in which they are not zero.
_BCRYPT = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_GO_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{0,12})?(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,60}")


def read_texts(value: object) -> tuple[str, ...]:
    """Return a list of texts."""
    if not isinstance(value, list):
        raise ValueError("must be a list")  # noqa: TRY004 - pydantic collects these
    return tuple(map(read_text, value))


def read_path(value: object, info: ValidationInfo) -> Path:
    """Return the path of a file, relative to the folder in the context of the validation."""
    folder: Path = (info.context or {})["folder"]
    return folder / read_text(value)


def read_client_auth_type(value: object) -> str:
    """Return which clients must present a certificate."""
    accepted = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
    word = read_text(value)
    if word in _UNVERIFIED:
        raise ValueError(
            f"{word} is not supported: Python's TLS requests no certificate that it does not verify;"
            f" accepted are {', '.join(accepted)}"
        )
    if word not in accepted:
        raise ValueError(f"must be one of {', '.join(accepted)}")
    return word


def read_version(value: object) -> str:
    """Return a version of TLS."""
    word = read_text(value)
    if word in _OLD_VERSIONS:
        raise ValueError(f"{word} is insecure and not supported; accepted are TLS12, TLS13")
    if word not in {"TLS12", "TLS13"}:
        raise ValueError("must be one of TLS12, TLS13")
    return word


def read_cipher_suites(value: object) -> tuple[str, ...]:
    """Return a list of cipher suites."""
    suites = read_texts(value)
    if not set(suites) <= CIPHERS.keys() | CIPHERS_13:
        raise ValueError(f"must be a list of {', '.join(sorted(CIPHERS))}")
    if not CIPHERS_13.isdisjoint(suites) and not set(suites) >= CIPHERS_13:
        raise ValueError(
            "cannot select suites of TLS 1.3: Python's TLS enables all of them;"
            f" accepted are all of {', '.join(sorted(CIPHERS_13))}, or none of them"
        )
    return suites


def read_curves(value: object) -> tuple[str, ...]:
    """Return a list of curves, which are all the same one."""
    curves = read_texts(value)
    if not set(curves) <= CURVES.keys():
        raise ValueError(f"must be a list of one of {', '.join(CURVES)}")
    if len(set(curves)) > 1:
        raise ValueError(
            f"several curves are not supported: Python's TLS takes one; accepted is one of {', '.join(CURVES)}"
        )
    return curves


def read_mapping(value: object) -> dict[str, object]:
    """Return a mapping whose keys are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a mapping of names to values")
    return dict(value)


def read_headers(value: object) -> dict[str, str]:
    """Return the headers to set; a blank one is not set."""
    headers = {name: _header(text) for name, text in read_mapping(value).items()}
    faults = [(printable_name(name), unknown_name(name, HEADERS)) for name in headers if name not in HEADERS]
    faults += [
        (name, f"must be {' or '.join(HEADERS[name])}")
        for name, text in headers.items()
        if text and HEADERS.get(name) and text not in HEADERS[name]
    ]
    faults += [
        (name, "must be text without control characters")
        for name, text in headers.items()
        if name in HEADERS and not text.isprintable()
    ]
    if faults:
        raise ValueError(*faults)
    return {name: text for name, text in headers.items() if text}


def _header(value: object) -> str:
    # YAML's folded texts end in a newline; Go's server joins the lines too.
    return " ".join(read_text(value).splitlines())


def read_users(value: object) -> dict[str, SecretStr]:
    """Return the bcrypt hash of each user."""
    hashes = {name: read_text(text) for name, text in read_mapping(value).items()}
    faults = [
        (printable_name(name), "must be a bcrypt hash, as `har-exporter web-config hash` prints")
        for name, text in hashes.items()
        if not _BCRYPT.fullmatch(text)
    ]
    if faults:
        raise ValueError(*faults)
    return {name: SecretStr(text) for name, text in hashes.items()}


def read_interval(value: object) -> float:
    """Return the seconds of a duration as Go writes it."""
    duration = read_text(value)
    if duration == "0":
        return 0.0
    if not _GO_DURATION.fullmatch(duration):
        raise ValueError("must be a duration with its unit, such as 500ms or 1m30s, or 0 for no limit")
    parts = re.findall(r"([0-9.]+)([^0-9.]+)", duration)
    return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """Return the error for an unknown name, with the known ones."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"is unknown{f', did you mean {near[0]}?' if near else ''}; accepted are {', '.join(known)}"


def printable_name(name: str) -> str:
    """Return a name that a user wrote, unless it is unlike a name: it may be a secret in the wrong place."""
    return name if _PLAIN_NAME.fullmatch(name) else "(no name of a key)"
