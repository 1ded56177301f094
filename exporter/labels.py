"""Texts of the API, made fit to be label values."""

import hashlib
import re

MAX_LENGTH = 256
"""Characters of the longest label value."""

_HASH_LENGTH = 8

# Control characters, marks that turn the direction of text, and halves of surrogate pairs, which have no UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text as a label value: unfit characters replaced by U+FFFD, cut to `MAX_LENGTH`.

    A text that is cut ends in a short hash of the whole, so that long texts with one beginning stay apart.
    """
    text = _UNFIT.sub("\ufffd", text)
    if len(text) <= MAX_LENGTH:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{text[: MAX_LENGTH - _HASH_LENGTH - 1]}~{digest}"
