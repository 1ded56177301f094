"""Folders of the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GRAFANA = ROOT / "grafana"
TESTS = ROOT / "tests"
PAYLOADS = TESTS / "payloads"
