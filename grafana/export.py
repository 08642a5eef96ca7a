"""The same as files, which Grafana provisions itself from."""

import json
from pathlib import Path
from typing import Any

from exray.grafana.alerts import FOLDER_TITLE, FOLDER_UID, group_file, rules
from exray.grafana.dashboards import boards, dashboard_json
from exray.grafana.datasource import datasource_file, source_of
from exray.grafana.thresholds import Thresholds

Json = dict[str, Any]

PASSWORD_VARIABLE = "EXRAY_GRAFANA_PASSWORD"
"""Variable of Grafana's environment that holds the data source's password."""


def export(
    folder: Path, datasource: Json, boards_path: str, thresholds: Thresholds | None = None
) -> list[Path]:
    """Write provisioning files below *folder*, as Grafana's ``provisioning`` folder has them.

    Args:
        folder: Where to; made where it is not there.
        datasource: The data source.
        boards_path: Folder of the dashboards' files as Grafana will see it.
        thresholds: What panels are coloured by and rules fire above; by default `Thresholds()`.

    Returns:
        The files written.
    """
    source = source_of(datasource)
    limits = thresholds or Thresholds()
    shown = boards(limits)
    password = f"${PASSWORD_VARIABLE}" if "user" in datasource else None
    files: dict[str, Json] = {
        "datasources/exray.yaml": datasource_file(datasource, password),
        "dashboards/exray.yaml": {
            "apiVersion": 1,
            "providers": [
                {
                    "name": "exray",
                    "orgId": 1,
                    "folder": FOLDER_TITLE,
                    "folderUid": FOLDER_UID,
                    "type": "file",
                    "allowUiUpdates": False,
                    "disableDeletion": False,
                    "updateIntervalSeconds": 60,
                    "options": {"path": boards_path},
                }
            ],
        },
        "alerting/exray.yaml": group_file(rules(limits), source),
        **{
            f"dashboards/exray/{board.name}.json": dashboard_json(board, source, shown)
            for board in shown
        },
    }
    return [_written(folder / name, document) for name, document in files.items()]


def _written(path: Path, document: Json) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, so the files need no YAML library.
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if path.suffix == ".yaml":
        # Grafana expands $NAME in these files; a dollar of a query's own stands doubled.
        text = text.replace("$", "$$").replace(f"$${PASSWORD_VARIABLE}", f"${PASSWORD_VARIABLE}")
    path.write_text(text + "\n", "utf-8")
    return path
