"""What a setting does when it changes is decided for each of them."""

import re
from collections import Counter

from readme import ROOT

from exporter import effects
from exporter.settings import Settings


def test_every_setting_has_exactly_one_effect():
    decided = Counter([*effects.ANEW, *effects.AGAIN, *effects.AT_ONCE, *effects.RESTART])
    assert decided == Counter(list(Settings.model_fields))


def test_the_readme_tells_the_effect_of_every_setting():
    (section,) = re.findall(r"^## Reload\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in section.splitlines() if row.startswith("| `")]
    assert rows == [sorted(names) for names in (effects.ANEW, effects.AGAIN, effects.AT_ONCE, effects.RESTART)]
