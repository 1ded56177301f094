"""Targets: a module of this folder each, with what it checks of any bytes (`check`) and bytes to try (`TOKENS`)."""

from tests.support.places import TESTS

TARGETS = ("page", "listings", "settings", "webconfig", "heads")

CORPUS = TESTS / "fuzz" / "corpus"
"""Folder with a folder for each target: inputs that together reach all code that was ever reached."""
