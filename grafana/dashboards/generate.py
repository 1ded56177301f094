"""Write the JSON files of the dashboards, for import or provisioning in Grafana."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.exporter import EXPORTER
from dashboards.frame import dashboard
from dashboards.overview import OVERVIEW

FOLDER = Path(__file__).parent
BOARDS = {"overview": OVERVIEW, "exporter": EXPORTER}


def text(built: Dashboard) -> str:
    """Return the JSON text of a dashboard."""
    document: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    for link in document["links"]:
        del link["placement"]  # the SDK supports only one placement, a menu that is easy to miss
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write one file per dashboard."""
    for name, board in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(dashboard(board)))


if __name__ == "__main__":
    main()
