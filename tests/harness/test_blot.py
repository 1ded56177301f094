"""Blotting: of a key nothing stays in a text, whichever way it is written; and of other texts everything does."""

import json
import string
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.harness.blot import Blot

ACCOUNT, TOKEN, SECRET = "AbCdEfGhIjKlMnOpQrStUv", "64f1c2d3e4f5a6b7c8d9e0f1", "Zk3mPq9-TvWx_z012345"
KEY = f"pat.{ACCOUNT}.{TOKEN}.{SECRET}"
BLOT = Blot(KEY)

PLAIN = string.ascii_letters + string.digits + "-_"
keys = st.builds(
    ".".join,
    st.tuples(
        st.sampled_from(["pat", "sat"]),
        st.text(PLAIN, min_size=1, max_size=22),
        st.text(PLAIN, min_size=1, max_size=24),
        st.text(PLAIN + "+/=~", min_size=1, max_size=40),
    ),
) | st.text(PLAIN + ".+/=~", min_size=12, max_size=60)
keys = keys.filter(lambda key: len(key) >= 12)
CHARACTERS = (
    str,
    str.upper,
    str.lower,
    lambda char: f"%{ord(char):02x}",
    lambda char: f"%25{ord(char):02X}",
    lambda char: f"\\u{ord(char):04x}",
    lambda char: f"\\\\u{ord(char):04X}",
)


@st.composite
def written(draw, texts):
    """Draw a text, and it in one of the ways that a server may write it."""
    text = draw(texts)
    kind = draw(st.sampled_from(["characters", "base64"]))
    if kind == "characters":
        ways = draw(st.lists(st.sampled_from(CHARACTERS), min_size=len(text), max_size=len(text)))
        return text, "".join(way(char) for way, char in zip(ways, text, strict=True))
    around = st.binary(max_size=5)
    coded = draw(st.sampled_from([b64encode, urlsafe_b64encode]))(draw(around) + text.encode() + draw(around)).decode()
    return text, draw(st.sampled_from([str, str.upper, str.lower, str.swapcase]))(coded)


@st.composite
def runs(draw):
    """Draw a run of the secret that is long enough to give it away."""
    length = draw(st.integers(12, len(SECRET)))
    begin = draw(st.integers(0, len(SECRET) - length))
    return SECRET[begin : begin + length]


@given(st.data(), keys)
def test_of_a_whole_key_nothing_stays_however_it_is_written(data, key):
    _, text = data.draw(written(st.just(key)))
    assert Blot(key)(f"the key {text!s} is refused") == "the key (key) is refused"


@given(written(runs()))
def test_of_a_secret_no_run_of_12_characters_stays(case):
    _, text = case
    assert BLOT(f"[{text}]") == "[(key)]"


@given(st.text(string.printable, max_size=60), keys)
def test_a_text_without_the_key_stays_as_it_is(text, key):
    folded = text.lower().replace("-", "+").replace("_", "/")
    parts = (key[at : at + 3].lower().replace("-", "+").replace("_", "/") for at in range(len(key) - 2))
    assume(not any(part in folded for part in parts))
    assert Blot(key)(text) == text


@pytest.mark.parametrize(
    "text", [ACCOUNT, f"pat.{ACCOUNT}.{TOKEN}.", SECRET[:11], SECRET[1:12], SECRET[:11] + SECRET[12:], ""]
)
def test_what_gives_no_secret_away_stays(text):
    """Accounts are in labels and addresses; less than 12 characters could be a coincidence."""
    assert BLOT(text) == text


def test_words_with_the_key_are_removed_and_the_words_between_them_stay():
    text = json.dumps({"x-api-key": KEY, "Authorization": f"Bearer {KEY.upper()}", "q": f"a/{SECRET}, b"})
    assert BLOT(text) == '{"x-api-key": "(key)", "Authorization": "Bearer (key)", "q": "(key), b"}'


@pytest.mark.parametrize(
    ("key", "text", "left"),
    [
        ("pat.acct.id.secret", "a Secret b", "a (key) b"),
        ("pat.acct.id.secret", b64encode(b"secret").decode(), "(key)"),
        ("pat.acct.id.short", "a short b", "a short b"),
        ("pat.acct.id.short", b64encode(b"me:pat.acct.id.short").decode(), "(key)"),
        ("pat.account.id.", "a pat.account.id. b", "a (key) b"),
        ("twelve!chars", "a%20twelve!chars b", "(key) b"),
    ],
)
def test_a_short_secret_is_removed_with_its_key_and_alone_if_it_can_be_no_word_by_chance(key, text, left):
    assert Blot(key)(text) == left


def test_every_key_of_several_is_removed():
    other = "sat.acct.id.0123456789abcdef"
    assert Blot(KEY, other)(f"{KEY} {other}") == "(key) (key)"


def test_no_key_is_in_the_repr():
    assert SECRET not in repr(BLOT) + str(BLOT)
