"""Fixtures of the tests of the web config file."""

import pytest

from tests.support.guarded import Guarded


@pytest.fixture
def guarded(tmp_path):
    return Guarded(tmp_path)
