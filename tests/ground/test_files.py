"""The one reader of files: regular files of a bounded size, and nothing that can hang or never end."""

import errno
import os
from pathlib import Path

import pytest

from exporter.files import MAX_BYTES, read_file


def test_the_content_of_a_regular_file_is_read_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_file(tmp_path / "link") == b"content"


def test_the_largest_file_is_read_and_a_larger_one_refused(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * MAX_BYTES)
    assert len(read_file(file)) == MAX_BYTES
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="larger than") as caught:
        read_file(file)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("name", ["fifo", "folder", "/dev/zero", "/proc/self/mem", "missing", "x" * 300, "a\0b"])
def test_what_is_no_regular_file_is_refused_without_waiting(name, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - each has a text of its own
        read_file(tmp_path / name)


def test_a_folder_is_called_one_and_leaves_no_descriptor_open(tmp_path):
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    for _ in range(3):
        with pytest.raises(OSError, match="it is a folder") as caught:
            read_file(tmp_path)
        assert caught.value.errno == errno.EISDIR
    assert len(list(folder.iterdir())) == before
