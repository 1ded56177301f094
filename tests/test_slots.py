"""How many requests may be in flight, also while that number changes."""

import threading

from exporter.harness.slots import Slots


def taken(slots: Slots) -> int:
    """Take all slots that are free, and return how many these were."""
    count = 0
    while slots.acquire(0):
        count += 1
    return count


def test_there_are_as_many_slots_as_the_limit_says_and_one_given_back_is_free():
    slots = Slots(3)
    assert taken(slots) == 3
    slots.release()
    assert taken(slots) == 1


def test_more_slots_are_free_at_once_and_fewer_once_so_many_were_given_back():
    slots = Slots(2)
    assert taken(slots) == 2
    slots.limit(4)
    assert taken(slots) == 2
    slots.limit(1)
    for _ in range(3):
        slots.release()
        assert taken(slots) == 0
    slots.release()
    assert taken(slots) == 1


def test_who_waits_gets_the_slot_that_a_higher_limit_makes():
    slots = Slots(1)
    assert slots.acquire(0)
    threading.Timer(0.05, slots.limit, [2]).start()
    assert slots.acquire(20)
