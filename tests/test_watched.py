"""What is made of files, and made again."""

import pytest

from exporter.settings import SettingsError
from exporter.watched import Watched


def make(content):
    """Refuse one content as made for, and fail with another."""
    if content == "bad":
        raise SettingsError(["x: is bad"])
    if content == "unforeseen":
        raise RuntimeError
    return [content]


@pytest.mark.parametrize(("content", "fault"), [("bad", SettingsError), ("unforeseen", RuntimeError)])
def test_nothing_older_comes_in_the_place_of_what_cannot_be_made(content, fault):
    watched = Watched(make, file="x")
    assert watched.current(lambda: "good") == ["good"]
    for _ in range(3):
        with pytest.raises(fault):
            watched.current(lambda: content)
    assert watched.current(lambda: "good") == ["good"]


def test_the_same_content_is_made_once():
    watched = Watched(make, file="x")
    first = watched.current(lambda: "good")
    assert watched.current(lambda: "good") is first
    assert watched.current(lambda: "new") == ["new"]
    assert repr(watched) == "Watched(…)"
