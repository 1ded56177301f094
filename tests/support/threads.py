"""What runs on threads of its own beside a test."""

import threading
import time
from contextlib import contextmanager


@contextmanager
def running(server):
    """Run an exporter's server; fails the test when it does not begin or does not end."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.ready.wait(10)
        yield
    finally:
        server.stop()
        thread.join(10)
    assert not thread.is_alive()


def wait_until(true):
    """Poll what has no event to wait for."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
