"""Comparison of programs that take turns, so that other load on the machine affects all of them."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.process import Process


class Spread(NamedTuple):
    """Median and range of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> "Spread":
        """Return the median, the minimum and the maximum of measurements."""
        return cls(statistics.median(measured), min(measured), max(measured))


class Measured(NamedTuple):
    """Durations of turns by contestant, in seconds; equal positions in the lists are the same round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the median duration of a contestant's turns."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, *others: str) -> Spread:
        """Return the ratio of a contestant's duration to the total of others, per round."""
        turns = zip(self.seconds[name], *(self.seconds[other] for other in others), strict=True)
        return Spread.of([seconds / sum(of_others) for seconds, *of_others in turns])


def rounds(turns: Mapping[str, Callable[[], float]], repetitions: int) -> Measured:
    """Run all turns repeatedly; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for repetition in range(repetitions + 1):
        for name, turn in turns.items():
            took = turn()
            if repetition:
                seconds[name].append(took)
    return Measured(seconds)


def take_turns(turn: Callable[[], int]) -> None:
    """Act as a contestant: take a turn for each line of the input, and print its duration and result."""
    for _ in sys.stdin:
        began = time.perf_counter()
        result = turn()
        print(json.dumps({"seconds": time.perf_counter() - began, "result": result}), flush=True)


def turn_of(process: Process, result: int) -> float:
    """Request one turn of a contestant, and return its duration.

    Raises:
        ValueError: the result is wrong.
    """
    said = json.loads(process.line("go"))
    if said["result"] != result:
        raise ValueError(f"a turn returned {said['result']} instead of {result}")
    return float(said["seconds"])
