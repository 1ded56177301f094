"""Values made from files, made again when their content changes."""

import threading

import pytest
import structlog

from exporter.texts import SettingsError
from exporter.webconfig.content import FileContent, watch
from tests.support.clocks import FakeClock


class Disk:
    """A file whose content a test changes."""

    def __init__(self):
        self.content = "good"

    def __call__(self):
        if self.content == "missing":
            raise SettingsError(["x: cannot be read"])
        return self.content


def make(content):
    """Refuse one content as made for, and fail with another."""
    if content == "bad":
        raise SettingsError(["x: is bad"])
    if content == "unforeseen":
        raise RuntimeError
    return [content]


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def watched(disk):
    return FileContent(disk, make, file="x")


@pytest.mark.parametrize(
    ("content", "fault"), [("bad", "x: is bad"), ("missing", "x: cannot be read"), ("unforeseen", "x: RuntimeError")]
)
def test_nothing_older_comes_in_the_place_of_what_is_invalid(content, fault, disk, watched):
    assert watched.current() == ["good"]
    disk.content = content
    for _ in range(3):
        watched.look()
        with pytest.raises(SettingsError, match=fault):
            watched.current()
    disk.content = "good"
    watched.look()
    assert watched.current() == ["good"]


def test_what_failed_unexpectedly_is_made_again_from_the_same_content(disk):
    failures = [RuntimeError]

    def make_at_last(content):
        if content == "new" and failures:
            raise failures.pop()
        return [content]

    watched = FileContent(disk, make_at_last, file="x")
    disk.content = "new"
    watched.look()
    with pytest.raises(SettingsError, match="x: RuntimeError"):
        watched.current()
    watched.look()
    assert watched.current() == ["new"]


def test_the_same_content_is_made_once(disk, watched):
    first = watched.current()
    watched.look()
    assert watched.current() is first
    disk.content = "new"
    watched.look()
    assert watched.current() == ["new"]
    assert repr(watched) == "FileContent(…)"


def test_each_change_is_logged_once(disk, watched):
    with structlog.testing.capture_logs() as lines:
        for content in ("good", "new", "new", "bad", "bad", "missing", "good"):
            disk.content = content
            watched.look()
    events = [(line["event"].partition(",")[0], line.get("problem")) for line in lines]
    assert events == [
        ("reloaded", None), ("invalid", "x: is bad"), ("invalid", "x: cannot be read"), ("valid again", None),
    ]  # fmt: skip


def test_files_are_looked_at_each_second_until_shutdown(disk, watched):
    clock = FakeClock()
    disk.content = "new"
    wait = clock.wait

    def waits(seconds):
        clock.stopped = len(clock.waits) == 3
        wait(seconds)

    clock.wait = waits
    before = set(threading.enumerate())
    watch([watched], clock)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert clock.waits == [1.0] * 3
    assert watched.current() == ["new"]
