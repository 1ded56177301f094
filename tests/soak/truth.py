"""Every scrape is right while the upstream moves, has ties and fails, keys rotate and settings are reloaded."""

import itertools
import random
import re
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.process import Exporter, exporter, until
from tests.soak.promise import Promise, at_most, exactly
from tests.soak.scrapes import Scrape, scrape
from tests.support.upstream import Upstream, cut, make_row, reply, truncated

_SECONDS = 1_800.0
_SPACES = [f"acct/org{number}" for number in range(4)]
_REGISTRIES = 6
_ROWS = 400
_CHANGES = 20.0  # a second, over all spaces
_SCRAPERS = 8
_MEBIBYTE = 2**20
_SAMPLE = re.compile(r"^(har_\w+){(.*)} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class _Version:
    """Artifact version, from its first moment to its last one."""

    registry: str
    row: dict
    born: float
    died: float = float("inf")
    records: int = 1


@dataclass
class _Estate:
    """Listings that change at random, and all that was ever in them."""

    chance: random.Random = field(default_factory=lambda: random.Random(1))
    lock: threading.Lock = field(default_factory=threading.Lock)
    ever: dict[str, list[_Version]] = field(default_factory=lambda: {space: [] for space in _SPACES})
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for space in _SPACES:
            for place in range(_ROWS):
                self._push(space, f"{1_700_000_000 + place // 20}000")  # 20 rows with equal times

    def rows(self, space: str) -> list[dict]:
        """Return the rows of a space now."""
        with self.lock:
            return [row for version in self._alive(space) for row in [version.row] * version.records]

    def change(self) -> None:
        """Push, touch, delete, re-tag, or quarantine a second time."""
        with self.lock:
            space = self.chance.choice(_SPACES)
            alive = self._alive(space)
            version = self.chance.choice(alive)
            now = f"{int(time.time() * 100)}0"
            match self.chance.choice(["push", "touch", "retag", "quarantine", "delete"]):
                case "push" if len(alive) < 2 * _ROWS:
                    self._push(space, now)
                case "touch":
                    version.row = version.row | {"lastModified": now}
                case "retag":
                    version.died = time.time()
                    self._push(space, now)
                case "quarantine":
                    version.records = 2
                case _ if len(alive) > _ROWS // 2:
                    version.died = time.time()

    def bounds(self, space: str, registry: str, began: float, ended: float) -> tuple[int, int]:
        """Return how many versions stood from one moment to another, and how many were there at any time between."""
        with self.lock:
            there = [each for each in self.ever[space] if each.registry == registry and each.born <= ended]
        standing = [each for each in there if each.born < began - 0.1 and each.died > ended]
        return len(standing), len([each for each in there if each.died >= began - 0.1])

    def _alive(self, space: str) -> list[_Version]:
        return [version for version in self.ever[space] if version.died == float("inf")]

    def _push(self, space: str, modified: str) -> None:
        number = next(self.numbers)
        registry = f"{space.rpartition('/')[2]}-{number % _REGISTRIES}"
        row = make_row(number, registryIdentifier=registry, registryUUID=registry, lastModified=modified)
        self.ever[space].append(_Version(registry, row, time.time()))


def rows() -> Iterator[Promise]:
    """Compare every scrape with what was in the listings while its data was read."""
    estate, over = _Estate(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        key, settings = Path(folder, "key"), Path(folder, "settings.yaml")
        key.write_text("pat.acct.id.generation-0")
        settings.write_text("{}")
        listings = {space: lambda space=space: estate.rows(space) for space in _SPACES}
        with Upstream(listings, key=key.read_text()) as upstream:
            upstream.count = lambda rows: len({row["name"] for row in rows})
            with exporter(
                upstream.url, api_key_file=str(key), config=str(settings), spaces=",".join(_SPACES), cache_ttl="2s",
                rate_limit="off",
            ) as running:  # fmt: skip
                until(lambda: scrape(running.address).body.count(b"har_snapshot_complete{") == len(_SPACES))
                upstream.fault = _Flapping()
                chores = [
                    _repeated(over, 1 / _CHANGES, estate.change),
                    _repeated(over, 7.0, lambda: _rotate(upstream, key)),
                    _repeated(over, 11.0, lambda: _reload(running, settings)),
                ]
                yield from _judged(running, estate, over)
                for chore in chores:
                    chore.join()


class _Flapping:
    """Fails a third of the requests in 5 of every 20 seconds."""

    def __init__(self) -> None:
        self._chance = random.Random(2)

    def __call__(self, _: object) -> object:
        if time.monotonic() % 20 > 5 or self._chance.random() > 0.33:
            return None
        return self._chance.choice([reply(500), reply(503), reply(200, "{"), truncated(b"{}"), cut()])


def _rotate(upstream: Upstream, key: Path) -> None:
    renewed = f"pat.acct.id.generation-{time.monotonic_ns()}"
    upstream.key = renewed
    (key.parent / "new").write_text(renewed)
    (key.parent / "new").rename(key)


def _reload(running: Exporter, settings: Path) -> None:
    number = int(time.monotonic())
    settings.write_text(f"concurrency: {(1, 4, 8)[number % 3]}\npage_size: {(20, 50, 100)[number // 3 % 3]}\n")
    running.process.send_signal(signal.SIGHUP)


def _repeated(over: threading.Event, seconds: float, call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class _Judge:
    """Compares scrapes with the truth."""

    def __init__(self, estate: _Estate) -> None:
        self._estate = estate
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}
        self.wrong: list[str] = []
        self.compared = 0
        self.complete = 0
        self.failed = 0

    def judge(self, scraped: Scrape) -> None:
        """Compare the numbers of artifacts of each registry with the least and the most that they may be."""
        if scraped.fault:
            self.failed += 1
            return
        values: dict[str, dict[str, str]] = defaultdict(dict)
        artifacts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for family, text, value in _SAMPLE.findall(scraped.body.decode()):
            labels = dict(_LABEL.findall(text))
            if family == "har_artifacts":
                artifacts[labels["space"]][labels["registry"]] += float(value)
            elif family in {"har_snapshot_timestamp_seconds", "har_snapshot_complete"}:
                values[labels["space"]][family] = value
        for space, said in values.items():
            self._compare(space, said, artifacts[space])

    def _compare(self, space: str, said: dict[str, str], artifacts: dict[str, float]) -> None:
        began = said["har_snapshot_timestamp_seconds"]
        with self._lock:
            # The walk had ended when the snapshot was seen for the first time.
            ended = self._seen.setdefault((space, began), time.time())
        complete = said["har_snapshot_complete"] == "1.0"
        ours = {f"{space.rpartition('/')[2]}-{number}" for number in range(_REGISTRIES)}
        faults = [f"{space} shows {registry}" for registry in artifacts.keys() - ours]
        for registry in ours:
            least, most = self._estate.bounds(space, registry, float(began), ended)
            count = artifacts.get(registry, 0)
            if count > most or (complete and count < least):
                faults.append(f"{registry}: {count:.0f}, from {least} to {most}, complete {complete}")
        with self._lock:
            self.compared += 1
            self.complete += complete
            self.wrong += faults


def _judged(running: Exporter, estate: _Estate, over: threading.Event) -> Iterator[Promise]:
    judge = _Judge(estate)
    end = time.monotonic() + _SECONDS

    def run() -> None:
        while time.monotonic() < end:
            judge.judge(scrape(running.address))
            time.sleep(0.5)

    scrapers = [threading.Thread(target=run) for _ in range(_SCRAPERS)]
    for scraper in scrapers:
        scraper.start()
    over.wait(_SECONDS / 6)
    warm = running.usage()
    for scraper in scrapers:
        scraper.join()
    after = running.usage()
    over.set()
    text = f"{_SECONDS / 60:.0f} minutes over a moving, flapping upstream"
    yield exactly(f"{text}: {judge.compared} snapshots, {judge.complete} complete: wrong", judge.wrong[:3] or 0, 0)
    yield exactly(f"{text}: failed scrapes", judge.failed, 0)
    yield at_most(f"{text}: memory growth after warm-up", (after.memory - warm.memory) / _MEBIBYTE, 8, " MiB")
