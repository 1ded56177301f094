"""Fixtures of the tests of the whole exporter."""

import pytest
import trustme


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()
