"""Hypothesis runs here as in CI: the same examples each time, and no deadline that a busy machine could miss."""

from hypothesis import settings

settings.load_profile("ci")
