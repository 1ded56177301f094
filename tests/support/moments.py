"""Moments in the life of the demo."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

PERIOD = 1_800.0
"""Seconds after which all that comes and goes in the demo does so again."""

_CHANGES = (0.0, 120.0, 360.0, 420.0, 899.0, 900.0, 1_499.0, 1_500.0)


def at_any_time(test):
    """Run a test of the demo with `now` all over the years, and with each phase of what comes and goes."""
    for moment in _CHANGES:
        test = example(now=1_000_000 * PERIOD + moment)(test)
    times = st.floats(min_value=1_600_000_000, max_value=4_000_000_000)
    return settings(max_examples=25)(given(now=times)(test))
