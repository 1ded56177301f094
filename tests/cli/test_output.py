"""Where `dump` writes to: what a file keeps, what is replaced, and what is written into."""

import os
import stat
import threading
from pathlib import Path

import pytest

from exporter.cli.output import check_output, write_output
from exporter.texts import SettingsError

NEW = b"new\n"


def written(output: Path | str) -> None:
    check_output(str(output))
    write_output(str(output), NEW)


@pytest.fixture
def strict_umask():
    """Give new files to their owner alone, as hardened hosts do."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
@pytest.mark.parametrize("mode", [None, 0o600, 0o640, 0o664], ids=str)
def test_a_file_keeps_its_mode_and_a_new_one_is_for_all_to_read(mode, tmp_path):
    """Whoever collects the file is another user, whatever the umask of the job that writes it."""
    target = tmp_path / "har.prom"
    if mode is not None:
        target.touch()
        target.chmod(mode)
    written(target)
    assert (stat.S_IMODE(target.stat().st_mode), target.read_bytes()) == (mode or 0o644, NEW)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_file_keeps_its_owner_where_the_system_allows_it(allowed, tmp_path, monkeypatch):
    def given(_: int, *owner: int) -> None:
        owners.append(owner)
        if not allowed:
            raise PermissionError

    owners: list[tuple[int, ...]] = []
    target = tmp_path / "har.prom"
    target.touch()
    monkeypatch.setattr(os, "fchown", given)
    written(target)
    assert owners == [(target.stat().st_uid, target.stat().st_gid)]
    assert target.read_bytes() == NEW


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_what_it_points_to_is_replaced(exists, tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "har.prom"
    if exists:
        target.write_bytes(b"old")
    link = tmp_path / "har.prom"
    link.symlink_to(target)
    written(link)
    assert (link.readlink(), target.read_bytes()) == (target, NEW)
    assert list(target.parent.iterdir()) == [target]


def test_a_fifo_is_written_into_and_stays(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    written(fifo)
    reader.join(20)
    assert got == [NEW]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("link", [False, True])
def test_a_device_is_written_into_and_stays(link, tmp_path):
    """Replaced by a file, /dev/null would break the host."""
    device = tmp_path / "null" if link else Path("/dev/null")
    if link:
        device.symlink_to("/dev/null")
    written(device)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("output", [None, "-", "/dev/stdout"])
def test_a_dash_and_the_device_of_that_name_are_standard_output(output, tmp_path, monkeypatch, capfdbinary):
    """Where that is a file, it would be replaced, and what was written before be lost."""
    monkeypatch.chdir(tmp_path)
    check_output(output)
    write_output(output, NEW)
    assert capfdbinary.readouterr().out == NEW
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_name_is_a_dash_can_be_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written("./-")
    assert (tmp_path / "-").read_bytes() == NEW


@pytest.mark.parametrize("left", ["file", "link"])
def test_what_stands_in_the_place_of_the_unfinished_file_is_not_written_to(left, tmp_path):
    """A killed process may have left a file, and another user a link to what only the writer may change."""
    other = tmp_path / "other"
    other.write_bytes(b"untouched")
    unfinished = tmp_path / f".har.prom.{os.getpid()}"
    unfinished.symlink_to(other) if left == "link" else unfinished.touch()
    written(tmp_path / "har.prom")
    assert other.read_bytes() == b"untouched"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "har.prom", other]


def test_an_interrupt_while_the_file_is_written_leaves_the_old_one_alone(tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "har.prom"
    target.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(target)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("path", ["no/file", "a-file/below", ".", "loop"])
@pytest.mark.parametrize("use", [check_output, lambda output: write_output(output, NEW)], ids=["before", "after"])
def test_what_cannot_be_written_is_a_fault_before_the_refresh_and_after_it(path, use, tmp_path):
    (tmp_path / "a-file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingsError, match=r"--output: .*; accepted is a file in a writable folder, a device"):
        use(str(tmp_path / path))


def test_a_full_device_is_a_fault():
    with pytest.raises(SettingsError, match="--output: No space left on device"):
        written("/dev/full")
