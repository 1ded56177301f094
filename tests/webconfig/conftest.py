"""Fixtures of the tests of the web config file."""

import io

import pytest

from exporter import log
from tests.support.guarded import Guarded


@pytest.fixture
def guarded(tmp_path):
    return Guarded(tmp_path)


@pytest.fixture
def log_lines():
    """Log as the exporter does, and give the lines so far."""
    stream = io.StringIO()
    log.configure("debug", "logfmt", stream)
    return lambda: stream.getvalue().splitlines()
