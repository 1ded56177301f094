"""What `har-exporter check` says of the spaces below an entry, and of registries and violations."""

import json

import pytest

from tests.support.commands import run, settings_for
from tests.support.sources import registry_row
from tests.support.terminal import on_terminal
from tests.support.upstream import Upstream, make_rows, reply

KEY = "pat.acct.id.secret"
BOTH = "registries,violations"


def estate(**knobs):
    spaces = {"acct": make_rows(3), "acct/org": make_rows(120), "acct/org/p": []}
    registries = [registry_row(number, path=f"{space}/r{number}") for number, space in enumerate(spaces)]
    return Upstream(spaces, registries=registries, key=KEY, **knobs)


def document(upstream, **more):
    done = run("check", "--output", "json", **settings_for(upstream, **{"sources": BOTH, "spaces": "acct/**", **more}))
    return done.returncode, json.loads(done.stdout)


def test_every_space_that_is_found_is_asked_and_told_with_what_it_costs():
    with estate() as upstream:
        code, told = document(upstream)
    costs = {one["space"]: (one["artifacts"], one["requests"]) for one in told["spaces"]}
    assert (code, costs) == (0, {"acct": (3, 1), "acct/org": (120, 3), "acct/org/p": (0, 1)})
    assert told["discovered_spaces"] == {"acct/**": 2}


def test_no_more_empty_spaces_are_looked_into_than_the_rate_allows_at_once():
    """The others would keep the command waiting for minutes."""
    spaces = [f"acct/o{number}" for number in range(9)]
    with Upstream(dict.fromkeys(spaces, ()), key=KEY) as upstream:
        document(upstream, spaces=",".join(spaces), rate_limit="100/m", sources="registries")
        asked = [request.path for request in upstream.requests if request.path.endswith("/+/registries")]
    assert len(asked) == 5 + 1


def test_a_series_number_is_exact_only_without_sources():
    with estate() as upstream:
        exact = {
            sources: [one["series_exact"] for one in document(upstream, spaces="acct", sources=sources)[1]["spaces"]]
            for sources in ("off", "registries")
        }
    assert exact == {"off": [True], "registries": [False]}


def test_a_terminal_says_how_many_spaces_were_found():
    settings = {"spaces": "acct/**", "sources": BOTH}
    with estate() as upstream, on_terminal("check", **settings_for(upstream, **settings)) as screen:
        assert screen.end() == 0
    assert "acct/**: 2 spaces found; 3 spaces: 123 artifacts" in " ".join(screen.text.split())


def test_a_key_that_may_not_view_the_root_is_told_with_the_way_out():
    with estate(fault=lambda request: reply(403) if request.path.endswith("/registries") else None) as upstream:
        code, told = document(upstream)
    (root,) = told["spaces"]
    assert (code, root["space"], root["reason"]) == (1, "acct", "forbidden")
    assert root["hint"].startswith("name the spaces in spaces, or grant")


@pytest.mark.parametrize(
    ("registries", "warnings"), [(2, ["there are 2 registries: check them"]), (0, ["check spaces"])]
)
def test_registries_without_artifacts_are_told_from_no_registries(registries, warnings):
    rows = [registry_row(number, path=f"acct/o/p/r{number}") for number in range(registries)]
    with Upstream({"acct/o/p": []}, registries=rows, key=KEY) as upstream:
        _, told = document(upstream, spaces="acct/o/p")
    found = told["spaces"][0]["warnings"]
    assert len(found) == len(warnings)
    assert all(said.endswith(expected) for said, expected in zip(found, warnings, strict=True))


def test_a_root_without_artifacts_is_as_it_should_be():
    with Upstream({"acct": []}, key=KEY) as upstream:
        assert document(upstream)[1]["spaces"][0]["warnings"] == []


@pytest.mark.parametrize(("source", "path"), [("registries", "/registries"), ("violations", "/scans")])
def test_a_source_that_is_not_available_is_told_once_for_each_key(source, path):
    with estate(fault=lambda request: reply(404) if request.path.endswith(path) else None) as upstream:
        code, told = document(upstream, spaces="acct,acct/org")
        (warning,) = told["warnings"]
        assert code == 0
        assert warning.startswith(f"acct: no {source}: the server returned 404")
        other = {"registries": "violations", "violations": "registries"}[source]
        assert document(upstream, spaces="acct,acct/org", sources=other)[1]["warnings"] == []


def test_a_server_that_does_not_answer_is_told_for_artifacts_alone():
    with estate(fault=lambda request: reply(400) if "artifacts" not in request.path else None) as upstream:
        code, told = document(upstream, spaces="acct/org/p")
    assert (code, told["warnings"]) == (0, [])
    assert told["spaces"][0]["warnings"] == ["nothing is listed: check spaces"]
