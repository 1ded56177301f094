"""Generated tables of docs/scaling.md: `make scaling` writes them, and a test compares them with the code."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from exporter.config.settings import Settings, default_text
from tools.plans import ESTATE, HOUR, PLANS, Outcome, Plan, run
from tools.simulation import MINUTE, requests_of
from tools.tables import render, table

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"

RATE = 300
SERIES_OF_SPACE = 35
SERIES_OF_REGISTRY = 23
SERIES_OF_CELL = 2
SERIES_OF_FINDING = 5


def series_of_space(cells: Sequence[int], findings: int = 0, second_reasons: int = 0) -> int:
    """Return the series of one space whose artifacts have every field.

    Args:
        cells: pairs of scan status and firewall mode of each registry and package type, including those at 0.
        findings: number of findings.
        second_reasons: findings of two kinds: quarantined, and blocked or warn.
    """
    registries = sum(SERIES_OF_REGISTRY + SERIES_OF_CELL * number for number in cells)
    return SERIES_OF_SPACE + registries + SERIES_OF_FINDING * findings + second_reasons


@cache
def outcome_of(name: str) -> Outcome:
    """Return the outcome of a plan, simulated once."""
    return run(PLANS[name])


def _time(seconds: float) -> str:
    minutes = seconds / MINUTE
    if seconds < 1:
        return "< 1 s"
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{seconds / HOUR:.1f} h"


def walks() -> str:
    sizes = (100, 500, 1_000)

    def cell(artifacts: int, size: int) -> str:
        requests = requests_of(artifacts, size)
        return f"{requests:,}: {_time(requests / RATE * MINUTE)}"

    artifacts = (0, 99, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    head = ("artifacts", *(f"`page_size` {size:,}" for size in sizes))
    return table(head, ((f"{number:,}", *(cell(number, size) for size in sizes)) for number in artifacts))


def laps() -> str:
    """Return the minimum settings for a lap, rounded up."""

    def rows() -> Iterator[tuple[str, ...]]:
        for artifacts in (10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000):
            spaces = {str(number): artifacts // 10 for number in range(10)}
            plan = Plan(estate=spaces)
            ttl = max(5 * MINUTE, _up(plan.lap, 5 * MINUTE))
            stale = ttl + 2 * (plan.scrape_interval + plan.lap + plan.walk) + 5 * MINUTE
            timeout = max(HOUR, _up(1.5 * plan.walk, HOUR))
            requests = sum(plan.requests.values())
            yield (
                f"{artifacts:,}", f"{requests:,}", _time(plan.lap), _time(plan.walk),
                _time(ttl), _time(_up(stale, HOUR)), _time(timeout),
            )  # fmt: skip

    return table(
        ("artifacts of a key", "requests", "lap", "walk", "`cache_ttl`", "`max_stale`", "`refresh_timeout`"), rows()
    )


def _up(seconds: float, step: float) -> float:
    return step * -(-seconds // step)


_MEASURES: tuple[tuple[str, dict[str, float], str], ...] = (
    ("nothing", {}, "data may be one or two laps old"),
    ("`latest_version: true`, keeps a fifth", {"kept": 0.2}, "old versions need no alert"),
    ("`registries` or `package_types`, keep half", {"kept": 0.5}, "whole registries need no alert"),
    ("`page_size` 500", {"page_size": 500}, "the server gives them; see `har_snapshot_page_size`"),
    ("`page_size` 1,000", {"page_size": 1_000}, "as above"),
    ("8 keys in one process", {"keys": 8, "concurrency": 20}, "you can create several service accounts"),
    ("8 keys, 8 shards", {"keys": 8, "shards": 8}, "as above, and one process is not enough"),
    ("8 shards, one key, 37/m each", {"shards": 8, "rate": 37}, "never to save time: the key is the limit"),
)  # fmt: skip


def measures() -> str:
    def rows() -> Iterator[tuple[str, str, str, str]]:
        for name, changes, when in _MEASURES:
            plan = Plan(**changes)  # type: ignore[arg-type]
            yield name, f"{sum(plan.requests.values()):,}", _time(plan.lap), when

    return table(("measure", "requests of a lap", "longest lap of a key", "when"), rows())


def plans() -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for name, plan in PLANS.items():
            outcome = outcome_of(name)
            yield (
                name, _settings(plan), _time(plan.lap), str(outcome.most_a_minute), f"{outcome.requests_an_hour:,.0f}",
                _time(outcome.age(0.5)), _time(outcome.age(0.95)), _time(outcome.age(1)), _time(plan.promised),
                f"{outcome.gaps:.0%}",
            )  # fmt: skip

    return table(
        (
            "plan", "settings", "lap", "maximum requests of a key in a minute", "requests per hour, all keys",
            "age, median", "age, p95", "age, maximum", "promised", "without data",
        ),
        rows(),
    )  # fmt: skip


def _settings(plan: Plan) -> str:
    """Return the settings that differ from the defaults, and the scrape interval."""
    values = {
        "rate_limit": f"{plan.rate}/m",
        "page_size": str(plan.page_size),
        "concurrency": str(plan.concurrency),
        "cache_ttl": _duration(plan.cache_ttl),
        "max_stale": _duration(plan.max_stale),
        "refresh_timeout": _duration(plan.refresh_timeout),
    }
    assert values.keys() <= Settings.model_fields.keys()
    changed = [f"`{name}: {value}`" for name, value in values.items() if value != default_text(name)]
    return ", ".join([*changed, f"scraped every {_duration(plan.scrape_interval)}"])


def _duration(seconds: float) -> str:
    if seconds % MINUTE:
        return f"{seconds:.0f}s"
    return f"{seconds / HOUR:.0f}h" if seconds % HOUR == 0 else f"{seconds / MINUTE:.0f}m"


def series() -> str:
    """List the series of spaces with 5 scanned registries of one firewall mode each, and 50 findings."""

    def rows() -> Iterator[tuple[str, ...]]:
        for spaces in (10, 100, 1_000):
            number = spaces * series_of_space([4] * 5, findings=50)
            samples = number / 60
            gigabytes = samples * 86_400 * 15 * 1.5 / 1e9
            yield f"{spaces:,}", f"{number:,}", f"{samples:,.0f}", f"{gigabytes:.1f} GB"

    return table(("spaces", "series", "samples per second at 1m", "disk for 15 days"), rows())


def estate() -> str:
    sizes = sorted(set(ESTATE.values()), reverse=True)
    counts = {size: sum(artifacts == size for artifacts in ESTATE.values()) for size in sizes}
    return table(("spaces", "artifacts per space"), ((str(counts[size]), f"{size:,}") for size in sizes))


PARTS: Mapping[str, Callable[[], str]] = {
    "walks": walks,
    "laps": laps,
    "measures": measures,
    "estate": estate,
    "plans": plans,
    "series": series,
}

if __name__ == "__main__":
    PAGE.write_text(render(PAGE, PARTS))
