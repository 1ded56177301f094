"""Where the alerts draw their lines, and the colours of what is on either side of them."""

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
    """A limit that an alert watches.

    Attributes:
        alert: the alert's name.
        comparison: `>` or `<`, as the alert's expression has it; `==` where the dashboard counts those that are.
        value: what the alert compares with.
        color: of values on the bad side: the alert's severity.
        whole: values are whole numbers, so that the first bad one is one beyond the limit.
    """

    alert: str
    comparison: str
    value: float
    color: str
    whole: bool = False

    @property
    def steps(self) -> list[Threshold]:
        """Good and bad as Grafana wants them: a step colours its own value and all above it.

        Below 0 there is no value, but what is missing gets the colour of the base.
        """
        if self.comparison == "<":
            return [
                Threshold(color=NOTHING),
                Threshold(value=0, color=self.color),
                Threshold(value=self.value, color=GOOD),
            ]
        first = self.value + 1 if self.whole or self.comparison == "==" else self.value
        return [Threshold(color=GOOD), Threshold(value=first, color=self.color)]


RISKY_IN_PRODUCTION = Limit("HarnessARRiskyArtifactInProduction", ">", 0, CRITICAL, whole=True)
QUARANTINED = Limit("HarnessARArtifactQuarantined", ">", 0, WARNING, whole=True)
BLOCKED = Limit("HarnessARArtifactsBlocked", ">", 0, WARNING, whole=True)
FIREWALL_OFF = Limit("HarnessARFirewallNotEnforced", ">", 0, WARNING, whole=True)
COVERAGE = Limit("HarnessARScanCoverageLow", "<", 0.9, WARNING)
STALE_SCANS = Limit("HarnessARScansStale", ">", 0.25, NOTICE)
REFRESH_FAILING = Limit("HarnessARRefreshFailing", "==", 0, WARNING)
INCOMPLETE = Limit("HarnessARSnapshotIncomplete", "==", 0, WARNING)
API_ERRORS = Limit("HarnessARAPIErrors", ">", 0.1, WARNING)
AUTH_FAILING = Limit("HarnessARAuthFailing", ">", 0, CRITICAL, whole=True)
RATE_LIMITED = Limit("HarnessARRateLimited", ">", 5, NOTICE, whole=True)
FINDINGS_DROPPED = Limit("HarnessARFindingsDropped", ">", 0, WARNING, whole=True)
STALE_SNAPSHOT = Limit("HarnessARSnapshotStale", ">", 1, WARNING)
"""Of the age as a share of what is allowed, which follows each space's own refresh interval."""

LIMITS = tuple(value for value in globals().values() if isinstance(value, Limit))


def steps(*colored: Threshold) -> build.ThresholdsConfig:
    """Return absolute thresholds; the first step has no value and is the base."""
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(colored))


def objective(share: float) -> build.ThresholdsConfig:
    """Return thresholds for a share of time that should be reached."""
    return steps(Threshold(color=WARNING), Threshold(value=share, color=GOOD))


def plain() -> build.ThresholdsConfig:
    """Return a threshold that judges nothing."""
    return steps(Threshold(color=NEUTRAL))
