"""Client of the demo registry."""

import pytest
import requests


@pytest.fixture(scope="module")
def session():
    """A client that keeps its connections and takes nothing from the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
