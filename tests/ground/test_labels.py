"""Whatever the API sends, what becomes of it is fit to be a label value."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.labels import MAX_LENGTH, clean

CHARACTERS = st.characters() | st.characters(categories=["Cs", "Cc"]) | st.sampled_from("\u061c\u200e\u202e\ufffd")
TEXTS = st.text(CHARACTERS) | st.text(CHARACTERS, min_size=MAX_LENGTH - 2, max_size=MAX_LENGTH + 2)
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {"\u061c", "\u200e", "\u200f"}  # turn direction like those above, though by class they are letters


def is_unfit(character):
    """Tell what Unicode calls a control, half of a surrogate pair, or a control of direction; or its replacement."""
    return (
        character == "\ufffd"
        or unicodedata.category(character) in {"Cc", "Cs"}
        or unicodedata.bidirectional(character) in BIDI
        or character in MARKS
    )


@given(TEXTS)
@example("\ud800")
@example("a\r\nb\x00\x7f\x85")
def test_a_clean_text_is_short_and_printable_and_stays_as_it_is(text):
    """No unfit character, at most 256 of the rest, encodable; cleaning it again changes nothing."""
    cleaned = clean(text)
    assert not any(map(is_unfit, cleaned))
    assert len(cleaned) <= MAX_LENGTH == 256
    assert cleaned.encode().decode() == cleaned
    assert clean(cleaned) == cleaned


@given(TEXTS)
def test_only_unfit_characters_of_a_short_text_change(text):
    """A short text keeps its length and every fit character; each of the others becomes a question mark."""
    text = text[:MAX_LENGTH]
    assert clean(text) == "".join("?" if is_unfit(character) else character for character in text)


def test_every_unfit_character_there_is_gets_replaced():
    """Of all that Unicode has, exactly the unfit characters change."""
    for number in range(0x110000):
        assert clean(chr(number)) == ("?" if is_unfit(chr(number)) else chr(number))


@given(st.lists(st.text(max_size=5), min_size=2, max_size=20, unique=True), st.integers(MAX_LENGTH, MAX_LENGTH + 50))
def test_long_texts_with_one_beginning_stay_apart(endings, length):
    """What is cut off shows in the hash, unfit characters too."""
    long = ["x" * length + ending for ending in endings if ending]
    assert len({clean(text) for text in long}) == len(long)


@pytest.mark.parametrize("length", [MAX_LENGTH + 1, 1_000_000])
def test_a_long_text_keeps_its_beginning(length):
    """The cut is marked, and the same in every process, so that a series keeps its labels."""
    cleaned = clean("x" * length)
    assert len(cleaned) == MAX_LENGTH
    assert cleaned.startswith("x" * 239 + "~")
    assert clean("x" * 257) == "x" * 239 + "~15eb95a462ee20bd"
