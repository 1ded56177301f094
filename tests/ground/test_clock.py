"""The machine's clocks, and how shutdown ends every wait."""

import threading
import time

import pytest

from exporter.clock import Stopped, SystemClock


def test_a_wait_lets_time_pass():
    clock = SystemClock()
    began = clock.monotonic()
    clock.wait(0.01)
    clock.wait(-1)
    assert clock.monotonic() - began >= 0.01


def test_the_clocks_are_those_of_the_machine():
    clock = SystemClock()
    assert abs(clock.time() - time.time()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5


def test_stop_ends_a_wait_that_lasts_and_every_later_one():
    clock = SystemClock()
    waiting = threading.Timer(0.01, clock.stop)
    waiting.start()
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(Stopped):
            clock.wait(60)
    assert time.monotonic() - began < 30
    waiting.join()
