"""Blotting: a key is removed from a text of the server, in whichever way the text writes it."""

import re
import string
from base64 import b64encode
from collections.abc import Iterator

from exporter.texts import SHORTEST_KEY

REPLACEMENT = "(key)"

_RUN = SHORTEST_KEY  # characters of a secret that are worth hiding; their base64 has as many that depend on no others
_CLUE = 6
_LEAST_SECRET, _LEAST_BASE64 = 6, 8  # shorter texts would remove data
_TRIPLE = 3
# A URL-coded character, or one that is escaped as in JSON; coded texts may be coded again.
_CODED = r"%(?:25)*([0-9a-f]{2})|\\+u00([0-9a-f]{2})|\\+(.)"
_CODED_CHARACTER = re.compile(_CODED, re.IGNORECASE | re.DOTALL)
_CHARACTER = re.compile(f"{_CODED}|.", re.IGNORECASE | re.DOTALL)
# In base64 and URL-coding the characters next to those of the secret hold some of it too.
_WORD = re.compile(r"[\w.~+/=%\\-]+|.", re.ASCII | re.DOTALL)
_FOLDED = str.maketrans(string.ascii_uppercase + "-_", string.ascii_lowercase + "+/")  # base64 has two alphabets


class Blot:
    """Function that removes keys from a text.

    Of a key `kind.account.id.secret` only the secret is removed: its other parts are in labels and addresses. A word
    that holds the secret, or 12 characters of it, is removed as a whole, whether it writes them as they are, in another
    case, in base64 of any alignment, URL-coded, or escaped as in JSON.
    """

    def __init__(self, *keys: str) -> None:
        """Remove these keys, which have `SHORTEST_KEY` characters or more."""
        spellings = [_folded(spelling) for key in keys for spelling in _spellings(key)]
        self._lengths = {min(_RUN, len(spelling)) for spelling in spellings}
        self._parts = {part for spelling in spellings for part in _parts(spelling, min(_RUN, len(spelling)))}
        # Every run holds one of these, and hardly any other text does: most texts are checked in a microsecond.
        clues = {clue for spelling in spellings for clue in (*_parts(spelling, _CLUE),)[:: _RUN - _CLUE + 1]}
        self._clue = re.compile("|".join(map(re.escape, clues)))

    def __repr__(self) -> str:
        return "Blot(…)"

    def __call__(self, text: str) -> str:
        """Return the text with `REPLACEMENT` in place of the keys."""
        folded = _folded(text)
        if not self._clue.search(folded):
            return text
        return "".join(self._kept(text, self._hits(text, folded)))

    def _kept(self, text: str, hit: bytes) -> Iterator[str]:
        """Yield the words of a text that hold no key, and one replacement for the others in a row."""
        removed = False
        for word in _WORD.finditer(text):
            before, removed = removed, any(hit[word.start() : word.end()])
            if not removed:
                yield word[0]
            elif not before:
                yield REPLACEMENT

    def _hits(self, text: str, folded: str) -> bytes:
        """Return for each character of a text whether it belongs to a key."""
        origin = [*(found.start() for found in _CHARACTER.finditer(text)), len(text)]
        hit = bytearray(len(text))
        for length in self._lengths:
            for at, part in enumerate(_parts(folded, length)):
                if part in self._parts:
                    start, end = origin[at], origin[at + length]
                    hit[start:end] = b"\1" * (end - start)
        return bytes(hit)


def _spellings(key: str) -> Iterator[str]:
    """Yield texts of which one, or 12 characters of one, is wherever the secret of a key is."""
    secret = key.rpartition(".")[2]
    # The end of the key too: in base64 a short secret alone could be anything.
    for text in {secret, key[-max(_RUN, len(secret)) :]}:
        if len(text) >= _LEAST_SECRET:
            yield text
            yield from (coded for coded in _in_base64(text.encode()) if len(coded) >= _LEAST_BASE64)


def _in_base64(text: bytes) -> Iterator[str]:
    """Yield what is always in the base64 of a text, for each place among three bytes that the text may begin at."""
    for skipped in range(_TRIPLE):
        yield b64encode(text[skipped : len(text) - (len(text) - skipped) % _TRIPLE]).decode()


def _parts(text: str, length: int) -> Iterator[str]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _folded(text: str) -> str:
    """Return a text in which a character is the same whichever way it was written, and is one character."""
    if "%" in text or "\\" in text:
        text = _CODED_CHARACTER.sub(_character, text)
    return text.translate(_FOLDED)


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else found[3]
