"""Tests draw the same examples each time, without a deadline that a busy machine could miss, and share no log."""

import gc
import logging
import signal
import sys

import pytest
import structlog
from hypothesis import Phase, settings

from tests.support import whole
from tests.support.clocks import FakeClock

# A shell's job in the background ignores interrupts and hands that on, also to the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# For mutants: one failure is enough, however large the example.
settings.register_profile(
    "first-failure", settings.get_profile("ci"), max_examples=400, phases=[Phase.explicit, Phase.generate]
)
# For `make test-long`: more examples, and other ones each time.
settings.register_profile("long", settings.get_profile("ci"), max_examples=2_000, derandomize=False)
settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Measure no coverage in simulations and property tests: it more than doubles their time.

    In workers of pytest-xdist, the marker `no_cover` of pytest-cov 7.1 pauses one of two measurements only.
    """
    paused = []
    coverage = sys.modules.get("coverage")  # absent where nothing is measured
    if coverage and (item.get_closest_marker("simulation") or item.get_closest_marker("hypothesis")):
        while measurement := coverage.Coverage.current():
            measurement.stop()
            paused.append(measurement)
    try:
        return (yield)
    finally:
        for measurement in reversed(paused):
            measurement.start()


@pytest.fixture(scope="module")
def front():
    with whole.front() as front:
        yield front


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(autouse=True)
def log_as_it_was():
    """Leave no test the log that another one has set up."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def no_collector():
    """Have what nothing refers to end at once, and cycles stay."""
    gc.disable()
    yield
    gc.enable()
