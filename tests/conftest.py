"""Hypothesis runs here as in CI: the same examples each time, and no deadline that a busy machine could miss."""

from hypothesis import Phase, settings

# For mutants: one failure will do, however large the example.
settings.register_profile("first-failure", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ci")
