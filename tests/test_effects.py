"""What a setting does when it changes is decided for each of them."""

import re
from collections import Counter

from readme import ROOT

from exporter.config import effects
from exporter.config.settings import Settings


def test_every_setting_has_exactly_one_effect():
    decided = Counter([*effects.ANEW, *effects.AGAIN, *effects.AT_ONCE, *effects.RESTART])
    assert decided == Counter(list(Settings.model_fields))


def test_the_docs_tell_the_effect_of_every_setting():
    text = (ROOT / "docs" / "reload.md").read_text()
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in text.splitlines() if row.startswith("| `")]
    assert rows == [sorted(names) for names in (effects.ANEW, effects.AGAIN, effects.AT_ONCE, effects.RESTART)]
