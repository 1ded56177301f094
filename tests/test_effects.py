"""What a setting does when it changes is decided for each of them."""

from collections import Counter

from exporter import effects
from exporter.settings import Settings


def test_every_setting_has_exactly_one_effect():
    decided = Counter([*effects.ANEW, *effects.AGAIN, *effects.AT_ONCE, *effects.RESTART])
    assert decided == Counter(list(Settings.model_fields))
