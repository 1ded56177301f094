"""The page for people: says what is known in words, and lets nothing from outside become markup."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.serving import landing
from tests.support.places import DOCS
from tests.support.spaces import FOUND, NOW, TYPICAL, failure, snapshot, status

COMMONS, LODASH, JWT = (f"{name} {version}" for name, version, _ in FOUND)
VOID = {"meta", "link", "br", "wbr"}


def page(*statuses, version="1.2.3"):
    return landing.page(statuses, version=version, now=NOW).decode()


class Outline(HTMLParser):
    """Reads a page, and fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.open = []
        self.tags = []
        self.texts = []
        self.rows = []
        self.caption = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data
        if "caption" in self.open:
            self.caption += data

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def cells(*statuses):
    """Return the texts of the row of the first space."""
    return Outline(page(*statuses)).rows[1]


def test_tells_all_that_is_known_of_a_good_space():
    good = status(snapshot=snapshot(age=200, findings=3, dropped=1_500))
    assert cells(good) == [
        "acct", "fresh up to date", "3 min", "1,234",
        f"3: 1 quarantined, 3 blocked\n{COMMONS}\n{LODASH}\n{JWT}\n1,500 more over the limit",
        "complete",
    ]  # fmt: skip


def test_tells_why_a_space_failed_and_what_helps():
    refused = failure("auth", "401 Unauthorized", "check api_key", ago=7_200)
    assert cells(status(state="cold", failure=refused)) == [
        "acct", "failing no refresh has succeeded yet\nauth, 2 h ago: 401 Unauthorized\nHint: check api_key", "no data",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("artifacts", "reported", "complete", "text"),
    [
        (5, 5, True, "complete"),
        (5, None, True, "unknown: the API reports no number"),
        (1_005, 1_007, False, "incomplete: 1,005 read, 1,007 reported"),
        (5, 5, False, "incomplete: the listing changed during the refresh"),
    ],
)
def test_tells_how_complete_the_data_is(artifacts, reported, complete, text):
    known = snapshot(artifacts=artifacts, reported=reported, complete=complete)
    assert cells(status(snapshot=known))[-1] == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3_599.9, "59 min"), (3_600, "1 h"),
        (172_799, "47 h"), (172_800, "2 d"), (8_640_000, "100 d"),
    ],
)  # fmt: skip
def test_tells_ages_as_people_do(age, text):
    assert cells(status(snapshot=snapshot(age=age)))[2] == text


@pytest.mark.parametrize(
    ("state", "failed", "told", "style"),
    [
        ("cold", False, "cold nothing was read yet", "wait"),
        ("cold", True, "failing no refresh has succeeded yet", "bad"),
        ("fresh", False, "fresh up to date", "good"),
        ("due", False, "refresh pending the next scrape starts a refresh", "soft"),
        ("failing", True, "failing older data is served", "bad"),
        ("expired", True, "expired too old to be served", "bad"),
    ],
)
def test_tells_each_state_in_words_and_by_colour(state, failed, told, style):
    outline = Outline(page(status(state=state, failure=failure("auth", "401") if failed else None)))
    assert outline.rows[1][1].partition("\n")[0] == told
    assert outline.named("tr")[1]["class"] == outline.named("b")[0]["class"] == style


def failing(number, state="cold", read=None, reason="auth", text="no access to acct/org{}", ago=60.0):
    space = f"acct/org{number}"
    return status(space, state, read, failure(reason, text.format(number), "check api_key", ago))


def test_spaces_that_fail_for_the_same_cause_are_one_row():
    """It names the first ones, and lists all; data of several are sums, with the greatest age."""
    outline = Outline(page(*(failing(number, ago=60.0 + number) for number in range(150))))
    (_, row) = outline.rows
    assert row[0].startswith("150 spaces: acct/org0, acct/org1, acct/org2 and 147 more\nacct/org0acct/org1")
    assert row[1].endswith("\nauth, 1 min ago: no access to …\nHint: check api_key")
    assert len(outline.named("details")) == 1
    assert row[0].endswith("acct/org149")

    read = [snapshot(age=60, findings=1), snapshot(age=900, findings=2, dropped=1, complete=False)]
    first, second = read
    told = cells(failing(1, "failing", first), failing(2, "failing", second))
    assert told[2:] == [
        "15 min", "2,468",
        f"3: 2 quarantined, 3 blocked\n{COMMONS}\n{COMMONS}\n{LODASH}\n1 more over the limit",
        "1 incomplete",
    ]  # fmt: skip
    assert cells(*(failing(number, "failing", first) for number in range(2)))[-1] == "complete"


@pytest.mark.parametrize(
    ("others", "rows"),
    [
        ([failing(2, text="request 7 refused")], 1),
        ([failing(2, reason="forbidden")], 2),
        ([failing(2, "failing", snapshot())], 2),
        ([failing(2, "expired")], 2),
        ([status("acct/org2"), status("acct/org3")], 3),
    ],
)
def test_other_causes_and_states_have_rows_of_their_own(others, rows):
    """A message that differs is none: it may hold the number of a request."""
    outline = Outline(page(failing(1), *others))
    assert len(outline.rows) == 1 + rows
    assert ("and 1 other messages" in outline.rows[1][1]) == (rows == 1)


def test_tells_that_there_are_no_spaces():
    outline = Outline(page())
    assert "This shard serves no space." in outline.texts
    assert outline.rows == []


def test_sums_up_the_spaces_by_state():
    """The table's caption says what needs a look first."""
    assert Outline(page(*TYPICAL)).caption == "8 spaces: 1 expired, 1 failing, 1 cold, 1 refresh pending, 4 fresh"
    assert Outline(page(status())).caption == "1 space: 1 fresh"


def test_what_failed_stands_first_and_otherwise_the_order_is_that_of_the_configuration():
    """Nobody reads 200 rows to find the one that fails."""
    refused = failure("auth", "401")
    spaces = [
        status("d"), status("c"), status("due", "due"), status("cold", "cold"), status("expired", "expired"),
        status("failing", "failing", failure=refused), status("never", "cold", failure=refused),
        status("gone", "expired", failure=refused),
    ]  # fmt: skip
    rows = Outline(page(*spaces)).rows[1:]
    assert [row[0] for row in rows] == ["gone", "never", "failing", "expired", "cold", "due", "d", "c"]


def test_has_the_structure_that_readers_of_all_kinds_need():
    """The page has a language, one heading, a table with a caption and scoped headers, and a viewport."""
    outline = Outline(page(status(), status("acct/org", snapshot=snapshot())))
    assert outline.named("html") == [{"lang": "en"}]
    assert len(outline.named("h1")) == len(outline.named("caption")) == len(outline.named("title")) == 1
    assert {header.get("scope") for header in outline.named("th")} == {"col", "row"}
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in outline.named("meta")


def test_a_table_that_is_laid_out_as_cards_stays_a_table():
    """Its parts have their roles spelled out, for browsers that go by the layout."""
    outline = Outline(page(*TYPICAL))
    parts = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}
    assert {tag: {part.get("role") for part in outline.named(tag)} for tag in parts} == {
        tag: {role} for tag, role in parts.items()
    }
    headers = {(header["scope"], header.get("role")) for header in outline.named("th")}
    assert headers == {("col", "columnheader"), ("row", "rowheader")}


def test_links_to_what_else_there_is():
    """Links to the docs name no host to their server."""
    own, docs = [], []
    for link in Outline(page()).named("a"):
        (docs if link.get("rel") == "noreferrer" else own).append(link["href"])
    assert own == ["/metrics", "/-/healthy", "/-/ready"]
    assert all(link.startswith("https://github.com/har-exporter/har-exporter/blob/main/docs/") for link in docs)
    assert [(DOCS / link.rpartition("/")[2]).is_file() for link in docs] == [True, True]


def test_a_card_calls_each_number_what_the_column_of_the_table_does():
    """A card has no column."""
    outline = Outline(page(status(snapshot=snapshot())))
    assert [cell["data-label"] for cell in outline.named("td") if "data-label" in cell] == outline.rows[0][2:]
    assert len({len(row) for row in outline.rows if "no data" not in row}) == 1


def test_its_policy_allows_its_own_style_only():
    """The hash in the policy is that of the style as it is sent."""
    style = re.search("<style>(.*)</style>", page(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = landing.CONTENT_SECURITY_POLICY.split("; ")
    assert policy[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]


HOSTILE = st.text() | st.sampled_from(["<script>alert(1)</script>", '" onload="x', "' x='", "&lt;b&gt;", "{version}"])


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@example(*['"><script>alert(1)</script>'] * 5)
@example(*["\ud800{style}"] * 5)
def test_nothing_from_outside_becomes_markup(space, reason, message, hint, version):
    """Whatever the texts are, the tags and attributes of the page stay what they are with harmless ones."""
    name = re.sub("[^/:]+", "a", space)  # where a line may break
    found = snapshot(findings=1, found=[(name, "1", ("blocked",))])
    harmless = Outline(page(status(name, "fresh", found, failure("a", "a", "a")), version="a"))
    found = snapshot(findings=1, found=[(space, message, ("blocked",))])
    hostile = Outline(page(status(space, "fresh", found, failure(reason, message, hint or "-")), version=version))
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.tags] == [
        (tag, sorted(attributes)) for tag, attributes in harmless.tags
    ]


def test_texts_are_shown_as_they_are():
    """Escaping is for markup, not for readers; and no hint is shown where there is none."""
    told = cells(status(state="failing", failure=failure("bad_shape", "<b>&amp; {x} \"q\" 'p'")))[1]
    assert told.endswith("bad_shape, 0 s ago: <b>&amp; {x} \"q\" 'p'")
