"""Limits of the alerts, and the colours of values on both sides of them."""

from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

GOOD = "green"
NOTICE = "blue"
WARNING = "orange"
CRITICAL = "red"
NEUTRAL = "text"
NOTHING = "transparent"


class Limit(NamedTuple):
    """Limit of an alert.

    Attributes:
        alert: name of the alert.
        comparison: `>` or `<`, as in the expression of the alert; `==` if the dashboard counts equal series.
        value: the value that the alert compares with.
        color: colour of values that violate the limit; it shows the severity of the alert.
        whole: whether values are integers, so that the first bad value is the limit plus one.
    """

    alert: str
    comparison: str
    value: float
    color: str
    whole: bool = False

    @property
    def steps(self) -> list[Threshold]:
        """Threshold steps for Grafana; a step colours its own value and all greater values.

        The base colour is transparent, because Grafana also uses it for missing values.
        """
        if self.comparison == "<":
            low, high, first = self.color, GOOD, self.value
        else:
            low, high = GOOD, self.color
            first = self.value + 1 if self.whole or self.comparison == "==" else self.value
        return [Threshold(color=NOTHING), Threshold(value=0, color=low), Threshold(value=first, color=high)]

    @property
    def line(self) -> list[Threshold]:
        """Threshold steps for a graph, which draws a line at each of them."""
        return [Threshold(color=NOTHING), Threshold(value=self.value, color=self.color)]


NEW = Limit("HarnessARNewlyQuarantined", ">", 0, WARNING, whole=True)
RISKY_IN_PRODUCTION = Limit("HarnessARNewRiskInProduction", ">", 0, CRITICAL, whole=True)
QUARANTINED = Limit("HarnessARArtifactsQuarantined", ">", 0, NOTICE, whole=True)
BLOCKED = Limit("HarnessARArtifactsBlocked", ">", 0, NOTICE, whole=True)
FIREWALL_OFF = Limit("HarnessARFirewallNotEnforced", "==", 0, WARNING)
COVERAGE = Limit("HarnessARScanCoverageLow", "<", 0.9, WARNING)
STALE_SCANS = Limit("HarnessARScansStale", ">", 0.25, NOTICE)
REFRESH_FAILING = Limit("HarnessARRefreshFailing", "==", 0, WARNING)
INCOMPLETE = Limit("HarnessARSnapshotIncomplete", "==", 0, WARNING)
API_ERRORS = Limit("HarnessARAPIErrors", ">", 0.1, WARNING)
AUTH_FAILING = Limit("HarnessARAuthFailing", ">", 0, CRITICAL, whole=True)
RATE_LIMITED = Limit("HarnessARRateLimited", ">", 5, NOTICE, whole=True)
FINDINGS_DROPPED = Limit("HarnessARFindingsDropped", ">", 0, WARNING, whole=True)
STALE_SNAPSHOT = Limit("HarnessARSnapshotStale", ">", 1, WARNING)
"""Limit for the age as a share of the maximum age, which depends on the refresh interval of each space."""

LIMITS = tuple(value for value in globals().values() if isinstance(value, Limit))


def steps(*colored: Threshold) -> build.ThresholdsConfig:
    """Return absolute thresholds; the first step has no value and is the base."""
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(colored))


def objective(share: float) -> build.ThresholdsConfig:
    """Return thresholds for an objective, a share of time."""
    return steps(Threshold(color=NOTHING), Threshold(value=0, color=WARNING), Threshold(value=share, color=GOOD))


def plain() -> build.ThresholdsConfig:
    """Return a single neutral threshold."""
    return steps(Threshold(color=NEUTRAL))
