"""Whether to try a request again, and after how long."""

import random
import threading

TRIES = 3
"""How often one request is sent at most."""

_BASE = 0.5
_EARNED = 0.45
_RESERVE = 2.0
_MOST = 10.0


class RetryBudget:
    """Keeps the retries of the whole process under half of its normal traffic, so that a storm is not fed.

    Every request earns less than half a retry; a small reserve lets a lone request be tried again at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._balance = _RESERVE

    def earn(self) -> None:
        """Note a request that is sent for the first time."""
        with self._lock:
            self._balance = min(_MOST, self._balance + _EARNED)

    def spend(self) -> bool:
        """Take one retry, and return whether there was one."""
        with self._lock:
            if self._balance < 1:
                return False
            self._balance -= 1
            return True


def backoff(retry: int, jitter: random.Random) -> float:
    """Return the seconds to wait before a retry, counted from 0: anything up to 0.5 s x 2^retry."""
    return jitter.uniform(0, _BASE * 2**retry)
