"""Programs that PyPI does not have, which some tests drive."""

import os
import shutil

import pytest


def find(name: str) -> str:
    """Return the path of a program; without it the test is skipped, or fails where everything must run."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed (Debian has it)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
