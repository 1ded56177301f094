"""The page at `/`, for people: what the exporter knows of its spaces, complete in itself and without scripts."""

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from exporter.refresh import Failure, SpaceStatus
from exporter.snapshot import Snapshot

_STYLE = Markup("""
:root { color-scheme: light dark; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --back: #fff;
  --good: #116329; --wait: #7d4e00; --bad: #b3261e; --link: #0757ba; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9da7b3; --line: #3d444d; --back: #0d1117;
    --good: #57d364; --wait: #e3b341; --bad: #ff8a80; --link: #79b8ff; }
}
body { margin: 0 auto; padding: 1rem; max-width: 75rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
a { color: var(--link); }
nav ul { padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
nav a { display: inline-block; padding: .25rem 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: start; font-weight: 600; padding-bottom: .5rem; }
th, td { padding: .5rem 1rem .5rem 0; border-top: 1px solid var(--line); text-align: start; vertical-align: top; }
thead th { border-top: 0; white-space: nowrap; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
.last { min-width: 18rem; overflow-wrap: anywhere; }
small, .soft { color: var(--soft); }
small { display: block; font-weight: 400; }
.state { font-weight: 600; }
.fresh { color: var(--good); }
.cold, .due { color: var(--wait); }
.failing, .expired { color: var(--bad); }
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
<h1>Harness Artifact Registry exporter</h1>
<p class="soft">Version {version}</p>
</header>
<nav aria-label="Endpoints">
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li>
</ul>
</nav>
<main>
<div class="table" role="region" aria-labelledby="spaces" tabindex="0">
<table>
<caption id="spaces">Spaces</caption>
<thead>
<tr>
<th scope="col">Space</th>
<th scope="col">State</th>
<th scope="col">Age of the data</th>
<th scope="col" class="number">Artifacts</th>
<th scope="col" class="number">Findings</th>
<th scope="col">Completeness</th>
<th scope="col" class="last">Last failure</th>
</tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</main>
</body>
</html>
""")

_ROW = Markup("""<tr>
<th scope="row">{space}</th>
<td><span class="state {state}">{state}</span><small>{meaning}</small></td>
{data}
<td class="last">{failure}</td>
</tr>""")

_NO_ROW = Markup('<tr>\n<td colspan="7">No space falls on this shard.</td>\n</tr>')

_DATA = Markup("""<td>{age}</td>
<td class="number">{artifacts}</td>
<td class="number">{findings}{dropped}</td>
<td>{completeness}</td>""")

_NO_DATA = Markup('<td colspan="4" class="soft">no data</td>')

_SMALL = Markup("<small>{text}</small>")
_FAILURE = Markup("<strong>{reason}</strong>, {ago} ago: {message}{hint}")

_MEANINGS = {
    "cold": "nothing was read yet",
    "fresh": "up to date",
    "due": "the next scrape refreshes it",
    "failing": "the last refresh failed, older data is served",
    "expired": "the last data is too old to be served",
}

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
    """Return the whole page as UTF-8.

    Args:
        statuses: what is known of every space.
        version: the exporter's version.
        now: the monotonic clock's time, which ages are told by: the wall clock may jump.
    """
    rows = Markup("\n").join(_row(status, now) for status in statuses) or _NO_ROW
    # Texts of other people may hold halves of surrogate pairs, which have no UTF-8.
    return _PAGE.format(style=_STYLE, version=version, rows=rows).encode(errors="replace")


def _row(status: SpaceStatus, now: float) -> Markup:
    return _ROW.format(
        space=status.space,
        state=status.state,
        meaning=_MEANINGS.get(status.state, ""),
        data=_data(status.snapshot, now) if status.snapshot else _NO_DATA,
        failure=_failure(status.last_failure, now) if status.last_failure else "none",
    )


def _data(snapshot: Snapshot, now: float) -> Markup:
    inventory = snapshot.inventory
    dropped = inventory.findings_dropped
    return _DATA.format(
        age=_span(now - snapshot.began_monotonic),
        artifacts=f"{inventory.artifacts:,}",
        findings=f"{len(inventory.findings):,}",
        dropped=_SMALL.format(text=f"{dropped:,} more over the limit") if dropped else "",
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
        hint=_SMALL.format(text=f"Hint: {failure.hint}") if failure.hint else "",
    )


def _span(seconds: float) -> str:
    """Tell a time as people do."""
    for name, length, at_least in _UNITS:
        if seconds >= at_least * length:
            return f"{int(seconds) // length} {name}"
    return f"{int(seconds)} s"
