"""What was listed by entry, put together by space."""

import pytest

from exporter.engine.listed import by_space


@pytest.mark.parametrize(
    ("entries", "nearest"),
    [
        (["acct/**", "acct/org/**"], "acct/org/**"),
        (["acct/org/**", "acct/**"], "acct/org/**"),
        (["acct/org", "acct/org/**"], "acct/org"),
        (["zcct/**", "acct/ORG/**", "acct/**"], "acct/ORG/**"),
    ],
)
def test_of_several_entries_that_list_a_space_the_nearest_one_counts(entries, nearest):
    """It may have another key, which sees more."""
    assert by_space({entry: {"acct/Org": entry} for entry in entries}) == {"acct/org": nearest}
