"""The log: one line an event, in either format, with the libraries' own lines among them."""

import io
import json
import logging
import os
from contextlib import contextmanager

import pytest
import structlog

from exporter import log
from exporter.log import configure


@pytest.fixture
def stream():
    return io.StringIO()


def test_logfmt_is_one_line_an_event_with_time_level_and_message_first(stream):
    configure("info", "logfmt", stream)
    structlog.get_logger().warning("refresh failed", space="acct", problem='two\nlines and "quotes"')
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("ts=")
    assert 'level=warning msg="refresh failed" space=acct problem="two\\nlines and \\"quotes\\""' in line


def test_logfmt_tells_yes_and_no_as_values(stream):
    configure("info", "logfmt", stream)
    structlog.get_logger().info("space is up", complete=True, tls=False)
    assert stream.getvalue().endswith(" complete=true tls=false\n")


def test_json_is_one_object_an_event(stream):
    configure("info", "json", stream)
    structlog.get_logger().warning("refresh failed", space="acct", problem="two\nlines")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("ts").endswith("Z")
    assert event == {"level": "warning", "msg": "refresh failed", "space": "acct", "problem": "two\nlines"}


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_left_out(level, lines, stream):
    configure(level, "logfmt", stream)
    for severity in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), severity)("said")
    assert len(stream.getvalue().splitlines()) == lines


def test_lines_of_libraries_have_the_same_form(stream):
    configure("info", "json", stream)
    logging.getLogger("some.library").error("it %s", "broke")
    event = json.loads(stream.getvalue())
    assert (event["level"], event["msg"]) == ("error", "it broke")


def test_a_fault_is_logged_with_where_it_happened(stream):
    configure("info", "json", stream)
    try:
        json.loads("")
    except ValueError:
        structlog.get_logger().exception("fault")
    assert "test_log.py" in json.loads(stream.getvalue())["exception"]


@contextmanager
def pipe():
    """Yield both ends of a pipe."""
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def test_a_log_that_nobody_reads_drops_lines_and_blocks_nobody(monkeypatch):
    """Lines that found a place are there, whole and in order, once somebody reads; the others are counted.

    As the thread takes lines out of the queue, those that are dropped may be in the midst of others.
    """
    monkeypatch.setattr(log, "_LAST_LINES", 0.01)
    with pipe() as (reader, writer):
        lines = log.DroppingStream(writer)
        texts = [f"{number:05} {'x' * 500}\n" for number in range(3_000)]
        for text in texts:
            lines.write(text)
        lines.end()
        kept = len(texts) - lines.dropped
        assert 1_000 <= kept < 2_000
        read = b""
        while read.count(b"\n") < kept:
            read += os.read(reader, 2**16)
        written = read.decode().splitlines(keepends=True)
        assert len(written) == kept
        assert written == sorted(set(written) & set(texts))


def test_lines_that_wait_when_the_process_ends_are_written():
    with pipe() as (reader, writer):
        lines = log.DroppingStream(writer)
        configure("info", "logfmt", lines)
        for number in range(100):
            structlog.get_logger().info("said", number=number)
        lines.end()
        assert os.read(reader, 2**16).count(b"\n") == 100
    assert lines.dropped == 0


def test_lines_for_a_closed_stream_are_dropped():
    with pipe() as (_, writer):
        pass
    lines = log.DroppingStream(writer)
    lines.write("nobody hears\n")
    lines.end()
    assert lines.dropped == 1


def test_a_change_of_level_and_format_keeps_the_stream(stream):
    configure("error", "logfmt", stream)
    log.change("info", "json")
    structlog.get_logger().info("said")
    assert json.loads(stream.getvalue())["msg"] == "said"
