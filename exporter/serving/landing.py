"""The page at `/`, for people: what the exporter knows of its spaces, complete in itself and without scripts.

On a narrow screen each row of the table is a card. Roles are spelled out, since browsers drop those of a table that is
laid out as something else.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from exporter.inventory.refresh import Failure, SpaceStatus
from exporter.inventory.snapshot import Snapshot

_STYLE = Markup("""
:root { color-scheme: light dark; --text: #1f2328; --soft: #59636e; --line: #d8dee4; --back: #f6f8fa; --panel: #fff;
  --link: #0757ba; --good: #116329; --good-back: #dafbe1; --wait: #7d4e00; --wait-back: #fff3b8; --bad: #a40e26;
  --bad-back: #ffebe9; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9da7b3; --line: #30363d; --back: #0d1117; --panel: #151b23;
    --link: #79b8ff; --good: #57d364; --good-back: #12301b; --wait: #e3b341; --wait-back: #33270a; --bad: #ff9a92;
    --bad-back: #3c1618; }
}
.fresh { --tone: var(--good); --tint: var(--good-back); }
.due { --tone: var(--soft); --tint: var(--back); }
.cold { --tone: var(--wait); --tint: var(--wait-back); }
.failing, .expired { --tone: var(--bad); --tint: var(--bad-back); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 76rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
header, nav ul { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1.25rem; }
header { justify-content: space-between; margin-bottom: 1.5rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
h1 small { font-size: 1rem; }
small, thead, .none { color: var(--soft); font-weight: 400; }
a { color: var(--link); }
nav ul { margin: 0; padding: 0; list-style: none; }
nav a { display: inline-block; padding: .5rem 0; }
table { width: 100%; border-collapse: separate; border-spacing: 0; }
caption { padding-bottom: .75rem; text-align: start; font-size: 1.125rem; }
caption b { color: var(--tone); white-space: nowrap; }
th, td { padding: .75rem 1rem; text-align: start; vertical-align: top; }
tbody th, .state { overflow-wrap: anywhere; }
.state > b { display: inline-block; margin-inline-end: .25rem; padding: 0 .625rem; border-radius: 1rem;
  color: var(--tone); background: var(--tint); }
.state p { margin: .5rem 0 0; }
.number { font-variant-numeric: tabular-nums; }
.number small { display: block; white-space: normal; }
@media (min-width: 56em) {
  table { border: 1px solid var(--line); border-radius: .5rem; background: var(--panel); }
  thead th { font-size: .875rem; font-weight: 600; }
  tbody th, td { border-top: 1px solid var(--line); }
  th:first-child { width: 28%; }
  .state { width: 34%; }
  .whole { width: 17%; }
  .number { text-align: end; white-space: nowrap; }
}
@media (max-width: 55.99em) {
  body { padding: 1.25rem 1rem 3rem; overflow-wrap: anywhere; }
  table, caption, th, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
  tbody tr { display: grid; grid-template-columns: repeat(3, 1fr); align-content: start; padding: .5rem;
    border: 1px solid var(--line); border-radius: .5rem; background: var(--panel); }
  th, td { padding: .375rem .5rem; }
  tbody th, .state, .whole { grid-column: 1 / -1; }
  [data-label]::before { display: block; color: var(--soft); font-size: .875rem; content: attr(data-label);
    content: attr(data-label) / ""; }
}
""")

_PAGE = Markup("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Harness Artifact Registry exporter</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Harness Artifact Registry exporter <small>{version}</small></h1>
<nav aria-label="Endpoints">
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li>
</ul>
</nav>
</header>
<main>
{spaces}
</main>
</body>
</html>
""")

_NO_SPACES = Markup("<p>No space falls on this shard.</p>")

_SPACES = Markup("""<table role="table">
<caption>{summary}</caption>
<thead role="rowgroup">
<tr role="row">
<th role="columnheader" scope="col">Space</th>
<th role="columnheader" scope="col">State</th>
<th role="columnheader" scope="col" class="number">Age</th>
<th role="columnheader" scope="col" class="number">Artifacts</th>
<th role="columnheader" scope="col" class="number">Findings</th>
<th role="columnheader" scope="col">Completeness</th>
</tr>
</thead>
<tbody role="rowgroup">
{rows}
</tbody>
</table>""")

_ROW = Markup("""<tr role="row" class="{state}">
<th role="rowheader" scope="row"><bdi>{name}</bdi></th>
<td role="cell" class="state"><b>{state}</b> <small>{meaning}</small>{failure}</td>
{data}
</tr>""")

_DATA = Markup("""<td role="cell" class="number" data-label="Age">{age}</td>
<td role="cell" class="number" data-label="Artifacts">{artifacts}</td>
<td role="cell" class="number" data-label="Findings">{findings}{dropped}</td>
<td role="cell" class="whole" data-label="Completeness">{completeness}</td>""")

_NO_DATA = Markup('<td role="cell" colspan="4" class="none whole">no data</td>')

_DROPPED = Markup(" <small>{dropped:,} more over the limit</small>")
_COUNT = Markup('<b class="{state}">{count:,} {state}</b>')
_FAILURE = Markup("\n<p><b>{reason}</b>, {ago} ago: <bdi>{message}</bdi></p>{hint}")
_HINT = Markup("\n<p>Hint: {hint}</p>")

_MEANINGS = {
    "expired": "too old to be served",
    "cold": "nothing was read yet",
    "failing": "older data is served",
    "due": "the next scrape refreshes it",
    "fresh": "up to date",
}
"""What each state means, the one that most needs a look first."""

_URGENCY = {state: rank for rank, state in enumerate(_MEANINGS)}

_UNITS = (("d", 86_400, 2), ("h", 3_600, 1), ("min", 60, 1))
"""How times are told: the name of a unit, its seconds, and from how many of them on it is used."""


def _content_security_policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


CONTENT_SECURITY_POLICY = _content_security_policy()
"""Allows the page its own style and nothing else."""


def page(statuses: Sequence[SpaceStatus], *, version: str, now: float) -> bytes:
    """Return the whole page as UTF-8; spaces whose last refresh failed stand first.

    Args:
        statuses: what is known of every space.
        version: the exporter's version.
        now: the monotonic clock's time, which ages are told by: the wall clock may jump.
    """
    spaces = _spaces(sorted(statuses, key=_urgency), now) if statuses else _NO_SPACES
    # Texts of other people may hold halves of surrogate pairs, which have no UTF-8.
    return _PAGE.format(style=_STYLE, version=version, spaces=spaces).encode(errors="replace")


def _urgency(status: SpaceStatus) -> tuple[bool, int]:
    return status.last_failure is None, _URGENCY[status.state]


def _spaces(statuses: Sequence[SpaceStatus], now: float) -> Markup:
    return _SPACES.format(summary=_summary(statuses), rows=Markup("\n").join(_row(status, now) for status in statuses))


def _summary(statuses: Sequence[SpaceStatus]) -> Markup:
    count = len(statuses)
    of_state = Counter(status.state for status in statuses)
    counts = (_COUNT.format(state=state, count=of_state[state]) for state in _MEANINGS if of_state[state])
    return Markup("{count:,} {noun}: ").format(count=count, noun="space" if count == 1 else "spaces") + Markup(
        ", "
    ).join(counts)


def _row(status: SpaceStatus, now: float) -> Markup:
    return _ROW.format(
        name=Markup("/<wbr>").join(status.space.split("/")),
        state=status.state,
        meaning=_MEANINGS[status.state],
        failure=_failure(status.last_failure, now) if status.last_failure else "",
        data=_data(status.snapshot, now) if status.snapshot else _NO_DATA,
    )


def _data(snapshot: Snapshot, now: float) -> Markup:
    inventory = snapshot.inventory
    dropped = inventory.findings_dropped
    return _DATA.format(
        age=_span(now - snapshot.began_monotonic),
        artifacts=f"{inventory.artifacts:,}",
        findings=f"{len(inventory.findings):,}",
        dropped=_DROPPED.format(dropped=dropped) if dropped else "",
        completeness=_completeness(snapshot),
    )


def _completeness(snapshot: Snapshot) -> str:
    if snapshot.reported is None:
        return "unknown: the API reports no number"
    if snapshot.complete:
        return "complete"
    if snapshot.inventory.artifacts == snapshot.reported:
        return "incomplete: it changed while it was read"
    return f"incomplete: {snapshot.inventory.artifacts:,} read, {snapshot.reported:,} reported"


def _failure(failure: Failure, now: float) -> Markup:
    return _FAILURE.format(
        reason=failure.reason,
        ago=_span(now - failure.time),
        message=failure.message,
        hint=_HINT.format(hint=failure.hint) if failure.hint else "",
    )


def _span(seconds: float) -> str:
    """Tell a time as people do."""
    for name, length, at_least in _UNITS:
        if seconds >= at_least * length:
            return f"{int(seconds) // length} {name}"
    return f"{int(seconds)} s"
