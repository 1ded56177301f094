"""Owners of spaces by patterns."""

import pytest

from exporter.config.owners import owner_of, read_owners
from exporter.config.sources import load

OWNERS = read_owners({
    "*": "platform",
    "acct/pay*": "payments",
    "acct/Payments/web": "web",
    "other/*": "",
})  # fmt: skip


@pytest.mark.parametrize(
    ("space", "owner"),
    [
        ("acct", "platform"),
        ("acct/payments", "payments"),
        ("acct/payments/api", "payments"),
        ("ACCT/PAYMENTS/Web", "web"),
        ("acct/payments/web2", "payments"),
        ("third/pay", "platform"),
        ("other/org", ""),
    ],
)
def test_the_longest_pattern_that_matches_names_the_owner(space, owner):
    """In any case; the star stands for levels too, and an empty text for nobody."""
    assert owner_of(space, OWNERS) == owner


def test_a_text_owns_every_space_and_without_one_nobody_does():
    assert owner_of("acct/org", read_owners("payments")) == "payments"
    assert owner_of("acct", read_owners({"acct/*": "payments"})) == owner_of("acct", read_owners("")) == ""


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ({"a//b": "x"}, "not"),
        ({"a/b/c/d": "x"}, "a/b/c/d"),
        ({"acct/[a]": "x"}, "acct/[a]"),
        ({"acct": ["x"]}, "must be a single value"),
        ({"acct": "a\x07"}, "must be text without control characters"),
        (["acct"], "must be a single value"),
    ],
)
def test_a_pattern_that_is_none_is_refused(owner, said):
    with pytest.raises(ValueError, match=r"^must be") as caught:
        read_owners(owner)
    assert said.removeprefix("not") in str(caught.value)


def test_a_space_may_have_an_owner_of_its_own(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("""
        {api_key: pat.acct.id.key, owner: {acct/*: payments},
          spaces: [acct, acct/org, {ref: acct/web, owner: web}]}
    """)
    settings = load({"config": str(path)}, {})
    assert [space.owner for space in settings.served] == ["", "payments", "web"]
