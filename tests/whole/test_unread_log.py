"""A log that nobody reads harms nobody: neither scrapes, nor health, nor the end of the process."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import requests

from tests.support.commands import environment_of, free_port
from tests.support.upstream import Upstream, make_rows

PATIENCE = 20


@pytest.fixture
def full_pipe():
    """The writing end of a pipe that is full and is never read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 2**16):
            pass
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def test_a_process_whose_log_is_stuck_serves_and_ends(full_pipe):
    """It began with the first line: neither listening nor SIGTERM would have worked."""
    port = free_port()
    with Upstream(make_rows(3)) as upstream:
        settings = {"base_url": upstream.url, "api_key": upstream.key, "spaces": "acct"}
        environment = environment_of(**settings, listen_address=f"127.0.0.1:{port}", log_level="debug")
        process = subprocess.Popen([sys.executable, "-m", "exporter"], env=environment, stderr=full_pipe)
        try:
            with requests.Session() as session:
                retry = requests.adapters.HTTPAdapter(max_retries=requests.adapters.Retry(100, backoff_factor=0.05))
                session.mount("http://", retry)
                page = session.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
            assert 'har_up{space="acct"} 1.0' in page.text
            assert "har_exporter_log_lines_dropped_total 0.0" in page.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
