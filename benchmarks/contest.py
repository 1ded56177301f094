"""Programs that do the same thing side by side, turn by turn, so that a busy machine is busy for all of them."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.process import Process


class Spread(NamedTuple):
    """Some measurements of one thing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> "Spread":
        """Return the median of some measurements, and the ends between which they lie."""
        return cls(statistics.median(measured), min(measured), max(measured))


class Measured(NamedTuple):
    """What turns took, by contestant, in seconds; the same place in each list is the same round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the seconds that a turn of one of them takes."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, *others: str) -> Spread:
        """Return how many times longer than another one, or others together, it takes, round by round."""
        turns = zip(self.seconds[name], *(self.seconds[other] for other in others), strict=True)
        return Spread.of([seconds / sum(of_others) for seconds, *of_others in turns])


def rounds(turns: Mapping[str, Callable[[], float]], repetitions: int) -> Measured:
    """Let each take its turn, over and over; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for repetition in range(repetitions + 1):
        for name, turn in turns.items():
            took = turn()
            if repetition:
                seconds[name].append(took)
    return Measured(seconds)


def take_turns(turn: Callable[[], int]) -> None:
    """Be a contestant: for each line of the input take a turn, and say how long it took and what came of it."""
    for _ in sys.stdin:
        began = time.perf_counter()
        result = turn()
        print(json.dumps({"seconds": time.perf_counter() - began, "result": result}), flush=True)


def turn_of(process: Process, result: int) -> float:
    """Let a contestant take one turn, and return the seconds that it took.

    Raises:
        ValueError: something else came of it than what is right.
    """
    said = json.loads(process.line("go"))
    if said["result"] != result:
        raise ValueError(f"a turn came to {said['result']} where {result} is right")
    return float(said["seconds"])
