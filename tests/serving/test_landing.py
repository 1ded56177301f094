"""The page for people: says what is known in words, and lets nothing from outside become markup."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.serving import landing
from tests.support.spaces import NOW, TYPICAL, failure, snapshot, status

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
        "acct", "fresh up to date", "3 min", "1,234", "3 1,500 more over the limit", "complete",
    ]  # fmt: skip


def test_tells_why_a_space_failed_and_what_helps():
    refused = failure("auth", "401 Unauthorized", "check api_key", ago=7_200)
    assert cells(status(state="cold", failure=refused)) == [
        "acct", "cold nothing was read yet\nauth, 2 h ago: 401 Unauthorized\nHint: check api_key", "no data",
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


@pytest.mark.parametrize("state", ["cold", "fresh", "due", "failing", "expired"])
def test_tells_each_state_in_words(state):
    told = cells(status(state=state))[1]
    assert told.startswith(state)
    assert len(told) > len(state) + 5


def test_tells_that_there_are_no_spaces():
    outline = Outline(page())
    assert "This shard serves no space." in outline.texts
    assert outline.rows == []


def test_sums_up_the_spaces_by_state():
    """The table's caption says what needs a look first."""
    assert Outline(page(*TYPICAL)).caption == "8 spaces: 1 expired, 1 cold, 1 failing, 1 due, 4 fresh"
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
    links = [link["href"] for link in Outline(page()).named("a")]
    assert links == ["/metrics", "/-/healthy", "/-/ready"]


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
    harmless = Outline(page(status("a" + "/a" * space.count("/"), failure=failure("a", "a", "a")), version="a"))
    hostile = Outline(page(status(space, failure=failure(reason, message, hint or "-")), version=version))
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.tags] == [
        (tag, sorted(attributes)) for tag, attributes in harmless.tags
    ]


def test_texts_are_shown_as_they_are():
    """Escaping is for markup, not for readers; and no hint is shown where there is none."""
    told = cells(status(state="failing", failure=failure("bad_shape", "<b>&amp; {x} \"q\" 'p'")))[1]
    assert told.endswith("bad_shape, 0 s ago: <b>&amp; {x} \"q\" 'p'")
