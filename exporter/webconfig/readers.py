"""How the values of the web config file are spelled.

Every reader takes what the YAML holds, texts, lists and mappings, and gives the value, or raises ValueError with a
message that says what is accepted; a fault of one entry of a mapping is a pair of its key and the message.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationInfo

from exporter.config import readers as v

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
"""The cipher suites up to TLS 1.2 as Go calls them, and as OpenSSL does."""

CIPHERS_13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
"""The cipher suites of TLS 1.3, which are always all on."""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""The curves as Go calls them, and as OpenSSL does."""

HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that may be set, and the values that they may have; none for any."""

_UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})
_OLD_VERSIONS = frozenset({"TLS10", "TLS11"})
# The salt's last letter has four bits that count for nothing; bcrypt refuses a salt where they are not zero.
_BCRYPT = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_GO_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{0,12})?(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,60}")


def read_texts(value: object) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise ValueError("must be a list")  # noqa: TRY004 - pydantic collects these
    return tuple(map(v.text, value))


def read_path(value: object, info: ValidationInfo) -> Path:
    """Read the path of a file, relative to the folder that the context of the validation names."""
    folder: Path = (info.context or {})["folder"]
    return folder / v.text(value)


def read_client_auth_type(value: object) -> str:
    """Read who must show a certificate."""
    accepted = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
    word = v.text(value)
    if word in _UNVERIFIED:
        raise ValueError(
            f"{word} cannot be honoured, as Python's TLS asks for no certificate that it does not verify;"
            f" accepted are {', '.join(accepted)}"
        )
    if word not in accepted:
        raise ValueError(f"must be one of {', '.join(accepted)}")
    return word


def read_version(value: object) -> str:
    """Read a version of TLS."""
    word = v.text(value)
    if word in _OLD_VERSIONS:
        raise ValueError(f"{word} is not served, as it is broken; accepted are TLS12, TLS13")
    if word not in {"TLS12", "TLS13"}:
        raise ValueError("must be one of TLS12, TLS13")
    return word


def read_cipher_suites(value: object) -> tuple[str, ...]:
    """Read a list of cipher suites."""
    suites = read_texts(value)
    if not set(suites) <= CIPHERS.keys() | CIPHERS_13:
        raise ValueError(f"must be a list of {', '.join(sorted(CIPHERS))}")
    if not CIPHERS_13.isdisjoint(suites) and not set(suites) >= CIPHERS_13:
        raise ValueError(
            "cannot choose among the suites of TLS 1.3, as Python's TLS has all of them on;"
            f" accepted are all of {', '.join(sorted(CIPHERS_13))}, or none of them"
        )
    return suites


def read_curves(value: object) -> tuple[str, ...]:
    """Read a list of curves, which are all the same one."""
    curves = read_texts(value)
    if not set(curves) <= CURVES.keys():
        raise ValueError(f"must be a list of one of {', '.join(CURVES)}")
    if len(set(curves)) > 1:
        raise ValueError(
            f"several curves cannot be honoured, as Python's TLS takes one; accepted is one of {', '.join(CURVES)}"
        )
    return curves


def read_mapping(value: object) -> dict[str, object]:
    """Read a mapping whose keys are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a mapping of names to values")
    return dict(value)


def read_headers(value: object) -> dict[str, str]:
    """Read the headers to set; one that is blank is not set."""
    headers = {name: _header(text) for name, text in read_mapping(value).items()}
    faults = [(shown(name), unknown(name, HEADERS)) for name in headers if name not in HEADERS]
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
    # YAML's folded texts end in a newline; like Go's server, make one line of the lines.
    return " ".join(v.text(value).splitlines())


def read_users(value: object) -> dict[str, SecretStr]:
    """Read the bcrypt hash of each user."""
    hashes = {name: v.text(text) for name, text in read_mapping(value).items()}
    faults = [
        (shown(name), "must be a bcrypt hash, as `har-exporter web-config hash` prints")
        for name, text in hashes.items()
        if not _BCRYPT.fullmatch(text)
    ]
    if faults:
        raise ValueError(*faults)
    return {name: SecretStr(text) for name, text in hashes.items()}


def read_interval(value: object) -> float:
    """Read a duration as Go spells it, in seconds."""
    spelled = v.text(value)
    if spelled == "0":
        return 0.0
    if not _GO_DURATION.fullmatch(spelled):
        raise ValueError("must be a duration with its unit, such as 500ms or 1m30s, or 0 for no limit")
    parts = re.findall(r"([0-9.]+)([^0-9.]+)", spelled)
    return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)


def unknown(name: str, known: Mapping[str, object]) -> str:
    """Say what is known in the place of a name that is not."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"is unknown{f', did you mean {near[0]}?' if near else ''}; accepted are {', '.join(known)}"


def shown(name: str) -> str:
    """Show a name only if it is like a name: it may be a secret that is out of place."""
    return name if _PLAIN_NAME.fullmatch(name) else "(no plain name)"
