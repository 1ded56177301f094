"""Label values: the fixed ones, and texts of the API made fit to be one."""

import hashlib
import re
from collections.abc import Callable

RISKS = ("quarantined", "blocked", "warn", "unscanned", "none")
"""Values of the label `risk`, highest first; every artifact has exactly one."""

FINDINGS = RISKS[:3]
"""Values of the label `finding`: the risks that someone must act on."""

REGISTRIES, VIOLATIONS = SOURCES = ("registries", "violations")
"""Values of the label `source`: what is read in addition to artifacts."""

OTHER = "(other)"
"""Value of a label for everything over the limit of its values."""

Label = Callable[[str], str]
"""Makes a label value of a text of the API: `clean`, or more."""

MAX_LENGTH = 256
"""Characters of the longest label value."""

_HASH_LENGTH = 16  # 64 bits: as many as distinguish artifacts

# Control characters, bidirectional marks, and halves of surrogate pairs, which have no UTF-8 encoding. Also U+FFFD:
# PromQL rejects the text that the %q of an alert's annotation makes of it.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")


def clean(text: str) -> str:
    """Return the text as a label value: unfit characters replaced by `?`, cut to `MAX_LENGTH`.

    A cut text ends in a short hash of the whole, so that long texts with the same beginning stay different.
    """
    return _fit(text) if len(text) <= MAX_LENGTH else cut(text, text.encode(errors="surrogatepass"))


def cut(beginning: str, whole: bytes | memoryview) -> str:
    """Return the label value of a text that is too long.

    Args:
        beginning: at least its first `MAX_LENGTH` characters.
        whole: all of it, encoded.
    """
    digest = hashlib.sha256(whole).hexdigest()[:_HASH_LENGTH]
    return f"{_fit(beginning[: MAX_LENGTH - _HASH_LENGTH - 1])}~{digest}"


def _fit(text: str) -> str:
    return _UNFIT.sub("?", text)
