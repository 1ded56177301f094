"""What is made of files, and made again."""

import threading

import pytest
import structlog

from exporter.texts import SettingsError
from exporter.webconfig.content import FileContent
from tests.support.threads import wait_until


def make(content):
    """Refuse one content as made for, and fail with another."""
    if content == "bad":
        raise SettingsError(["x: is bad"])
    if content == "unforeseen":
        raise RuntimeError
    return [content]


@pytest.mark.parametrize(("content", "fault"), [("bad", SettingsError), ("unforeseen", RuntimeError)])
def test_nothing_older_comes_in_the_place_of_what_cannot_be_made(content, fault):
    watched = FileContent(make, file="x")
    assert watched.current(lambda: "good") == ["good"]
    for _ in range(3):
        with pytest.raises(fault):
            watched.current(lambda: content)
    assert watched.current(lambda: "good") == ["good"]


def test_the_same_content_is_made_once():
    watched = FileContent(make, file="x")
    first = watched.current(lambda: "good")
    assert watched.current(lambda: "good") is first
    assert watched.current(lambda: "new") == ["new"]
    assert repr(watched) == "FileContent(…)"


class Disk:
    """A file on a file system that may hang."""

    def __init__(self, content):
        self.content = content
        self.answers = threading.Event()
        self.answers.set()
        self.reads = 0

    def __call__(self):
        self.reads += 1
        content = self.content
        self.answers.wait()
        if content == "missing":
            raise SettingsError(["x: cannot be read"])
        return content


@pytest.fixture
def logged():
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_while_a_read_hangs_what_was_read_last_stays_and_no_other_is_begun(logged):
    disk, watched = Disk("good"), FileContent(make, file="x")
    assert watched.current(disk) == ["good"]
    disk.answers.clear()
    disk.content = "new"
    for _ in range(100):
        assert watched.current(disk) == ["good"]
    assert disk.reads == 2
    disk.answers.set()
    wait_until(watched._reader._reading.done)
    assert watched.current(disk) == ["new"]
    assert [(line["event"].split(",")[0], line["file"]) for line in logged] == [
        ("the file system does not respond", "x"),
        ("the file system responds again", "x"),
        ("reloaded", "x"),
    ]


def test_what_a_read_gives_that_hung_is_old_and_read_anew():
    disk, watched = Disk("good"), FileContent(make, file="x")
    watched.current(disk)
    disk.answers.clear()
    watched.current(disk)
    disk.content = "new"
    disk.answers.set()
    wait_until(watched._reader._reading.done)
    assert watched.current(disk) == ["new"]


def test_what_was_refused_before_a_read_hangs_stays_refused():
    disk, watched = Disk("good"), FileContent(make, file="x")
    watched.current(disk)
    disk.content = "missing"
    with pytest.raises(SettingsError, match="cannot be read"):
        watched.current(disk)
    disk.answers.clear()
    disk.content = "good"
    for _ in range(3):
        with pytest.raises(SettingsError, match="cannot be read"):
            watched.current(disk)
    disk.answers.set()


def test_a_file_that_hangs_at_the_start_is_refused(monkeypatch):
    monkeypatch.setattr("exporter.webconfig.content._FIRST_PATIENCE", 0.01)
    disk = Disk("good")
    disk.answers.clear()
    with pytest.raises(SettingsError, match="x: its file system does not respond"):
        FileContent(make, file="x").current(disk)
    disk.answers.set()
