"""The page for people in a real browser: readable on phones and desktops, by light and by dark, by eye and by ear."""

import base64
from itertools import pairwise

import pytest

from exporter.labels import clean
from tests.support import browser
from tests.support.spaces import REVOKED, SILENT, TYPICAL, failure, shown, snapshot, status

LINKS = ["Metrics", "Health", "Readiness", "Metric reference", "Troubleshooting"]
WIDTHS = (320, 390, 800, 900, 1_280)  # phones, cards in two columns, the narrowest table, a desktop

LONG = "/".join(("a_very-long.name$" * 8, "Organization" * 10, "project_" * 16))
HUGE = snapshot(age=8_640_000, artifacts=2**53, findings=500, dropped=2**53, reported=2**53 + 1, complete=False)
HOSTILE = (
    status("acme/wide", "cold", failure=failure("bad_json", "W" * 2_000)),
    status("<b>acme</b>", "failing", HUGE, failure("bad_shape", "<script>alert(1)</script><h1>x</h1>", "<a href=x>y")),
    status("acme/\u202eexe", "failing", snapshot(), failure("bad_json", "\u05d0\u05d1\u05d2 \u202e \u2066 \ud800 4")),
    status(LONG, "failing", HUGE, failure("server_error", clean("\u062e" * 1_000_000), "x" * 1_000)),
)
"""Texts that are markup, that turn the direction of text, and that are far too long."""

PAGES = {
    "typical": TYPICAL,
    "many": tuple(
        status(f"{LONG}{number}", state, HUGE, told)
        for number in range(50)
        for state, told in (("fresh", None), ("failing", REVOKED), ("expired", SILENT), ("due", None))
    ),
    "hostile": HOSTILE,
    "none": (),
}

TEXTS = """
const rgb = color => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return {c: [r, g, b], a}; };
const luminance = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = element => {
  for (; element; element = element.parentElement) {
    const {c, a} = rgb(getComputedStyle(element).backgroundColor);
    if (a === 1) return c;
    if (a > 0) throw new Error('half transparent');
  }
  throw new Error('no background');
};
const contrast = (style, element) => {
  const [dark, light] = [rgb(style.color).c, behind(element)].map(luminance).sort((a, b) => a - b);
  return (light + .05) / (dark + .05);
};
const texts = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; node = walker.nextNode();) {
  const element = node.parentElement;
  if (!node.data.trim() || (element.closest('thead') && innerWidth < 896)) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = element.closest('th, td, caption, header, main').getBoundingClientRect();
  const style = getComputedStyle(element);
  texts.push({text: node.data.slice(0, 40), contrast: contrast(style, element), size: parseFloat(style.fontSize),
    out: [...range.getClientRects()].some(r => r.width < 1 || r.left < box.left - 1 || r.right > box.right + 1
      || r.top < box.top - 1 || r.bottom > box.bottom + 1 || r.left < 0 || r.right > innerWidth)});
}
for (const element of document.querySelectorAll('[data-label]')) {
  const style = getComputedStyle(element, '::before');
  if (style.content !== 'none') texts.push({text: element.dataset.label, contrast: contrast(style, element),
    size: parseFloat(style.fontSize), out: false});
}
"""

PIXELS = """(async png => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + png)).blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const {data} = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const colors = new Set();
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    colors.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    sum += data[i] + data[i + 1] + data[i + 2];
  }
  return {width: bitmap.width, colors: colors.size, light: sum / (data.length / 4 * 765)};
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module", params=PAGES)
def url(request):
    with shown(PAGES[request.param]) as url:
        yield url


@pytest.fixture(scope="module")
def typical():
    with shown(TYPICAL) as url:
        yield url


def texts(page):
    """Return the texts of the page, those of lists that a reader must open included."""
    page.evaluate("document.querySelectorAll('details').forEach(list => list.open = true)")
    found = page.evaluate(f"(() => {{ {TEXTS} return texts; }})()")
    assert len(found) > 4
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_every_text_is_inside_its_place_and_nothing_scrolls_sideways(page, url, width):
    """Whatever the spaces are called and however long their messages are."""
    page.open(url, width=width)
    assert page.send("Page.getLayoutMetrics")["cssContentSize"]["width"] <= width
    assert [text for text in texts(page) if text["out"]] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1_280])
def test_every_text_stands_out_and_is_large_enough(page, typical, width, scheme):
    """The contrast is that of WCAG AA for small text."""
    page.open(typical, width=width, scheme=scheme)
    shown_texts = texts(page)
    assert [text for text in shown_texts if text["contrast"] < 4.5 or text["size"] < 13] == []


@pytest.mark.parametrize(("scheme", "light"), [("light", (0.85, 1)), ("dark", (0, 0.2))])
@pytest.mark.parametrize("width", WIDTHS)
def test_looks_like_a_page_by_light_and_by_dark(page, typical, width, scheme, light):
    """A picture of it has the colours of text on a background that is as light as the reader prefers."""
    page.open(typical, width=width, scheme=scheme)
    picture = base64.b64encode(page.screenshot()).decode()
    page.open("about:blank", width=width)
    seen = page.evaluate(f"{PIXELS}('{picture}')")
    assert seen["width"] == width
    assert seen["colors"] > 100
    assert light[0] <= seen["light"] <= light[1]


@pytest.mark.parametrize("width", WIDTHS)
def test_is_told_to_assistive_technology_as_what_it_is(page, typical, width):
    """A card is a row of the table that it stands for, with all its headers."""
    page.open(typical, width=width)
    nodes = [(node["role"]["value"], node["name"]["value"]) for node in page.accessibility() if "name" in node]
    of_role = {role: [name for told, name in nodes if told == role] for role, _ in nodes}
    assert of_role["heading"] == ["Harness Artifact Registry exporter 0.1.0"]
    assert of_role["link"] == LINKS
    assert of_role["navigation"] == ["Links"]
    assert len(of_role["banner"]) == len(of_role["main"]) == 1
    assert of_role["table"] == ["8 spaces: 1 expired, 1 failing, 1 cold, 1 refresh pending, 4 fresh"]
    assert of_role["columnheader"] == ["Space", "State", "Age", "Artifacts", "Findings", "Completeness"]
    names = [name.replace("/ ", "/") for name in of_role["rowheader"]]  # where a name may break, a pause is told
    assert sorted(names) == sorted(known.space for known in TYPICAL)
    assert len(of_role["row"]) == 9
    with_data = sum(known.snapshot is not None for known in TYPICAL)
    assert len(of_role["cell"]) == 5 * with_data + 2 * (8 - with_data)
    assert "1,812" in of_role["cell"], "the label that a card shows is said twice"


@pytest.mark.parametrize("width", [320, 1_280])
def test_its_links_can_be_reached_by_key_and_by_thumb(page, typical, width):
    """Tab goes from one to the next, and each is as high as WCAG wants targets to be."""
    page.open(typical, width=width)
    reached = []
    for _ in LINKS:
        for kind in ("keyDown", "keyUp"):
            page.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(page.evaluate("document.activeElement.textContent"))
    assert reached == LINKS
    boxes = page.evaluate("[...document.links].map(link => link.getBoundingClientRect().toJSON())")
    assert all(box["height"] >= 24 and box["width"] >= 24 for box in boxes)
    assert all(left["right"] <= right["left"] or left["bottom"] <= right["top"] for left, right in pairwise(boxes))


@pytest.mark.parametrize(("width", "height"), [(1_280, 900), (380, 780)])
def test_150_spaces_that_fail_for_one_cause_are_on_one_screen(page, width, height):
    """A reader sees all of them named after one touch, without a script."""
    read = snapshot(age=931, artifacts=1_812, findings=4)
    spaces = [status(f"acme/org-{number}/project", "failing", read, REVOKED) for number in range(150)]
    with shown(spaces) as url:
        page.open(url, width=width, height=height)
    assert page.send("Page.getLayoutMetrics")["cssContentSize"]["height"] <= height
    page.evaluate("document.querySelector('summary').click()")
    assert page.evaluate("document.querySelectorAll('details[open] li').length") == 150
    assert page.send("Page.getLayoutMetrics")["cssContentSize"]["height"] > height


def test_asks_for_nothing_else_and_breaks_no_rule_of_its_own(page, url):
    """One request makes the page, and its policy refuses no part of it."""
    page.open(url, width=1_280)
    assert [sent["request"]["url"] for sent in page.told("Network.requestWillBeSent")] == [url]
    assert page.told("Log.entryAdded") == []
    assert page.evaluate("document.styleSheets.length") == 1


def test_hostile_texts_become_no_elements(page):
    """Not in the parser that counts: a browser's own."""
    with shown(HOSTILE) as url:
        page.open(url, width=390)
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.querySelectorAll('h1, a, tbody tr').length") == 1 + len(LINKS) + len(HOSTILE)
    assert page.evaluate("document.querySelectorAll('tbody th')[1].textContent") == "<b>acme</b>"
