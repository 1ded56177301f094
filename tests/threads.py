"""A server on a thread of its own for the length of a test."""

import threading
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
