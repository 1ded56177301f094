"""Settings as variables of the environment, and what becomes of them."""

from pathlib import Path

from exporter.config.settings import Settings
from exporter.config.sources import load


def variables(**settings: str) -> dict[str, str]:
    """Return the variables of settings that are given in lower case."""
    return {f"HAR_EXPORTER_{name.upper()}": value for name, value in settings.items()}


def settings_of(**settings: str) -> Settings:
    return load({}, variables(**settings))


def settings_from(folder: Path, text: str) -> Settings:
    """Return the settings of a file, which is written to this folder."""
    (folder / "settings.yaml").write_text(text)
    return load({"config": str(folder / "settings.yaml")}, {})
