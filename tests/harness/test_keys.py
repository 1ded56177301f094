"""The key: a text or a file, read again when it changes."""

import pytest
import structlog

from exporter.harness.keys import FixedKey, KeyFile, account_of


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "key"
    file.write_text("  first\n")
    return file


def test_the_file_is_stripped(file):
    assert KeyFile(file).current() == "first"


def test_a_change_is_seen_at_the_next_request(file):
    key = KeyFile(file)
    file.write_text("second\n")
    assert key.current() == "second"


def test_a_swap_of_symlinks_as_kubernetes_does_it_is_seen(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(name)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "key").symlink_to("data/key")
    key = KeyFile(tmp_path / "key")
    assert key.current() == "one"
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert key.current() == "two"


@pytest.mark.parametrize("spoil", ["", " \n", "two words", "control\x01"])
def test_a_file_that_cannot_be_used_later_leaves_the_last_good_key(file, spoil):
    key = KeyFile(file)
    file.write_text(spoil)
    assert (key.current(), key.usable) == ("first", False)
    file.write_text("third")
    assert (key.current(), key.usable) == ("third", True)


def test_a_file_that_vanishes_leaves_the_last_good_key(file):
    key = KeyFile(file)
    file.unlink()
    assert (key.current(), key.usable) == ("first", False)


def test_a_file_that_stays_unusable_is_told_once_and_so_is_its_return(file):
    key = KeyFile(file)
    with structlog.testing.capture_logs() as lines:
        for text in ("", "two words", "\n", "third", "fourth"):
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
    with pytest.raises(ValueError, match="empty"):
        KeyFile(tmp_path / "empty")


def test_renewing_tells_whether_there_is_another_key(file):
    key = KeyFile(file)
    assert not key.renew(refused="first")
    file.write_text("second")
    assert key.renew(refused="first")
    assert not FixedKey("first").renew(refused="first")


def test_no_key_is_in_its_own_repr(file):
    assert "first" not in repr(KeyFile(file)) + repr(FixedKey("first"))


@pytest.mark.parametrize(
    ("key", "account"),
    [("pat.acct.id.secret", "acct"), ("sat.acct.id.secret", "acct"), ("pat.acct.secret", ""), ("other", ""), ("", "")],
)
def test_a_key_of_the_known_form_names_its_account(key, account):
    assert account_of(key) == account
