"""Alerting and recording rules, and the metrics that a text names."""

import re

import yaml

from exporter.metrics import exposition
from tests.support.places import GRAFANA

RULE_FILE = GRAFANA / "rules" / "har-exporter.rules.yaml"
RULES = yaml.safe_load(RULE_FILE.read_text())
ALL = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in ALL if "record" in rule}
THRESHOLDS = {name for name in RECORDS if name.startswith("har_threshold:")}
FAMILIES = {family.name: family for family in exposition.FAMILIES}


def metrics_in(text: str) -> set[str]:
    """Return the names of the metrics in expressions or templates, without records."""
    names = set(re.findall(r"(?<![\w:])har_[a-z0-9_]+(?![\w:])", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) if name not in FAMILIES else name for name in names}
