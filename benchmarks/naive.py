"""Naive script for comparison: requests, `.json()`, a gauge call for each row, one page after the other."""

import sys

import requests
from prometheus_client import CollectorRegistry, Gauge

from benchmarks.contest import take_turns


def walk(url: str, size: int) -> int:
    """Walk through a listing once, and return the number of artifacts."""
    registry = CollectorRegistry()
    labels = ("registry", "package_type", "scan_status", "firewall_mode")
    artifacts = Gauge("artifacts", "Artifacts.", labels, registry=registry)
    quarantined = Gauge("artifacts_quarantined", "Quarantined artifacts.", labels, registry=registry)
    downloads = Gauge("downloads", "Downloads.", labels[:2], registry=registry)
    count = page = 0
    with requests.Session() as session:
        while True:
            answer = session.get(url, params={"page": page, "size": size}, timeout=30)
            answer.raise_for_status()
            data = answer.json()["data"]
            rows = data["artifacts"]
            for row in rows:
                where = (row["registryIdentifier"], row["packageType"])
                cell = (*where, row.get("scanStatus", "UNSCANNED"), row["firewallMode"])
                artifacts.labels(*cell).inc()
                downloads.labels(*where).inc(row["downloadsCount"])
                if row["isQuarantined"]:
                    quarantined.labels(*cell).inc()
            count += len(rows)
            page += 1
            if len(rows) < size or page * size >= data["itemCount"]:
                return count


if __name__ == "__main__":
    take_turns(lambda: walk(sys.argv[1], int(sys.argv[2])))
