"""The key: a text or a file, read again when it changes."""

import os
import threading
import time

import pytest
import structlog

from exporter import files
from exporter.harness.keys import FixedKey, KeyFile, account_of

FIRST, SECOND, THIRD = (f"pat.acct.id.{name}" for name in ("first", "second", "third"))
PATIENCE = 20.0  # long enough for a file system that works, however busy the machine is


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "key"
    file.write_text(f"  {FIRST}\n")
    return file


@pytest.fixture
def hanging(monkeypatch):
    """File system that answers no `open` until the event is set; counts those that wait."""
    answers, waiting = threading.Event(), []
    opened = os.open

    def hang(*args):
        waiting.append(args)
        assert answers.wait(PATIENCE)
        return opened(*args)

    yield lambda: monkeypatch.setattr(files.os, "open", hang), answers, waiting
    answers.set()


def test_the_file_is_stripped(file):
    assert KeyFile(file).current() == FIRST


def test_a_change_is_seen_at_the_next_request(file):
    key = KeyFile(file, patience=PATIENCE)
    file.write_text(f"{SECOND}\n")
    assert key.current() == SECOND


def test_a_swap_of_symlinks_as_kubernetes_does_it_is_seen(tmp_path):
    for name, text in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(text)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "key").symlink_to("data/key")
    key = KeyFile(tmp_path / "key", patience=PATIENCE)
    assert key.current() == FIRST
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert key.current() == SECOND


@pytest.mark.parametrize("spoil", ["", " \n", "two words of it", "control\x01character", "elevenchars", None])
def test_a_file_that_cannot_be_used_later_leaves_the_last_good_key(file, spoil):
    key = KeyFile(file, patience=PATIENCE)
    if spoil is None:
        file.unlink()
    else:
        file.write_text(spoil)
    assert (key.current(), key.usable) == (FIRST, False)
    file.write_text(THIRD)
    assert (key.current(), key.usable) == (THIRD, True)


def test_a_file_that_stays_unusable_is_told_once_and_so_is_its_return(file):
    key = KeyFile(file, patience=PATIENCE)
    with structlog.testing.capture_logs() as lines:
        for text in ("", "two words", "\n", SECOND, THIRD):
            file.write_text(text)
            key.current()
    assert [line["event"].partition(",")[0] for line in lines] == [
        "key file cannot be used",
        "key file can be used again",
    ]


def test_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        KeyFile(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ValueError, match="at least 12"):
        KeyFile(tmp_path / "empty")


def test_renewing_tells_whether_there_is_another_key(file):
    key = KeyFile(file)
    assert not key.renew(FIRST, PATIENCE)
    file.write_text(SECOND)
    assert key.renew(FIRST, PATIENCE)
    assert not FixedKey(FIRST).renew(FIRST, PATIENCE)


def test_a_file_system_that_hangs_holds_up_one_request_for_a_moment_and_no_further_one(file, hanging):
    """Requests use the last good key; the file has one reader, however many wait for it, and is read again later."""
    hang, answers, waiting = hanging
    key = KeyFile(file, patience=0.01)
    file.write_text(SECOND)
    hang()
    assert key.current() == FIRST
    key._patience = PATIENCE
    began = time.monotonic()
    assert {key.current() for _ in range(100)} == {FIRST}
    assert not key.renew(FIRST, 0.01)
    assert time.monotonic() - began < PATIENCE
    assert len(waiting) == 1
    answers.set()
    assert key.renew(FIRST, PATIENCE)
    assert len(waiting) == 2


def test_no_key_is_in_its_own_repr(file):
    assert "first" not in repr(KeyFile(file)) + repr(FixedKey(FIRST))


@pytest.mark.parametrize(
    ("key", "account"),
    [("pat.acct.id.secret", "acct"), ("sat.acct.id.secret", "acct"), ("pat.acct.secret", ""), ("other", ""), ("", "")],
)
def test_a_key_of_the_known_form_names_its_account(key, account):
    assert account_of(key) == account
