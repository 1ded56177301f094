"""Every response is complete and the process exits cleanly, whenever it gets SIGTERM."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Self

from tests.soak.process import exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import REFUSED, RESET, scrape
from tests.support.upstream import Upstream, make_rows, reply

_ROUNDS = 50
_SCRAPERS = 8
_SECONDS = 5.0
_MODES = {
    "working": lambda _: None,
    "hanging": lambda _: time.sleep(10),
    "on hold after a 429": lambda _: reply(429, headers=[("Retry-After", "60")]),
}


def rows() -> Iterator[Promise]:
    """Stop the exporter under load, with an upstream that works, hangs, or requests a pause."""
    chance = random.Random(1)
    codes: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    worst, answers, resets = 0.0, 0, 0
    with Upstream(make_rows(500)) as upstream:
        settings = {"api_key": upstream.key, "spaces": upstream.space, "cache_ttl": "1s"}
        for number in range(_ROUNDS):
            upstream.fault = list(_MODES.values())[number % len(_MODES)]
            with exporter(upstream.url, **settings) as running, _Load(running.address) as load:
                until(lambda: load.answers)
                time.sleep(chance.uniform(0, 1))
                began = time.monotonic()
                running.process.send_signal(signal.SIGTERM)
                codes[running.process.wait(30)] += 1
                worst = max(worst, time.monotonic() - began)
            faults += load.faults
            answers += load.answers
            resets += load.resets
    title = f"{_ROUNDS} SIGTERMs under load: broken responses of {answers} ({resets} reset before they were accepted)"
    yield exactly(title, dict(faults) or 0, 0)
    yield exactly("exit codes", dict(codes), {0: _ROUNDS})
    yield at_most("exit within", worst, _SECONDS, " s")


class _Load:
    """Threads that scrape without a pause until connections are refused."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.answers = self.resets = 0
        self.faults: Counter[str] = Counter()
        self._address = address
        self._threads = [threading.Thread(target=self._scrape) for _ in range(_SCRAPERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _scrape(self) -> None:
        while (done := scrape(self._address, timeout=1.0)).fault != REFUSED:
            self.answers += 1
            if done.fault == RESET:
                self.resets += 1
            elif done.fault:
                self.faults[done.fault] += 1
