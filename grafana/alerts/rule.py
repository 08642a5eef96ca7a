"""An alert rule, and the JSON of Grafana's alerting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exray.grafana.dashboards.source import Source

Json = dict[str, Any]

GROUP = "exray"
"""Name of the rule group."""

FOLDER_UID = "exray"
FOLDER_TITLE = "exray"

INTERVAL_S = 300
"""Seconds between two evaluations of the group."""

RUNBOOKS = "docs/runbooks.md"
"""Where each rule's section stands, in exray's repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What must not go on unseen.

    Args:
        name: Its name; the uid is ``exray-`` and this, and so is its runbook's section.
        title: What happened, as the alert says it.
        summary: The same with the place: ``{{ $labels.metric }}`` is the series.
        sql: Query of ``time``, ``metric`` and ``value``, one row for each series.
        above: Value above which it fires.
        wait_s: How long it must hold before it fires.
        board: Board to look at.
        days: How far back the query looks.
        severity: Label of the alert.
    """

    name: str
    title: str
    summary: str
    sql: str
    above: float
    wait_s: int
    board: str
    days: int = 90
    severity: Literal["critical", "warning"] = "critical"

    @property
    def uid(self) -> str:
        """Its uid in Grafana."""
        return f"exray-{self.name}"


def rule_json(rule: Rule, source: Source) -> Json:
    """Return a rule as Grafana's provisioning API takes it."""
    seconds = rule.days * 86_400
    return {
        "uid": rule.uid,
        "orgID": 1,
        "folderUID": FOLDER_UID,
        "ruleGroup": GROUP,
        "title": rule.title,
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "queryType": "",
                "relativeTimeRange": {"from": seconds, "to": 0},
                "datasourceUid": source.uid,
                "model": {
                    "refId": "A",
                    "datasource": {"type": source.plugin, "uid": source.uid},
                    "editorMode": "code",
                    "format": source.formats["time_series"],
                    "intervalMs": 60_000,
                    "maxDataPoints": 1000,
                    "rawQuery": True,
                    "rawSql": rule.sql,
                },
            },
            _expression("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
            _expression(
                "C",
                {
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [
                        {
                            "type": "query",
                            "evaluator": {"type": "gt", "params": [rule.above]},
                            "operator": {"type": "and"},
                            "query": {"params": ["C"]},
                            "reducer": {"type": "last", "params": []},
                        }
                    ],
                },
            ),
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{rule.wait_s}s",
        "annotations": {
            "summary": rule.summary,
            "runbook": f"{RUNBOOKS}#{rule.name}",
            "__dashboardUid__": f"exray-{rule.board}",
            "__panelId__": "1",
        },
        "labels": {"severity": rule.severity, "origin": "exray"},
        "isPaused": False,
    }


def group_json(rules: Sequence[Rule], source: Source) -> Json:
    """Return the rule group as the provisioning API takes it: a PUT of it replaces the group."""
    return {
        "title": GROUP,
        "folderUid": FOLDER_UID,
        "interval": INTERVAL_S,
        "rules": [rule_json(rule, source) for rule in rules],
    }


def group_file(rules: Sequence[Rule], source: Source) -> Json:
    """Return the rule group as a provisioning file has it."""
    dropped = ("folderUID", "ruleGroup", "orgID")
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": GROUP,
                "folder": FOLDER_TITLE,
                "interval": f"{INTERVAL_S}s",
                "rules": [
                    {
                        key: value
                        for key, value in rule_json(rule, source).items()
                        if key not in dropped
                    }
                    for rule in rules
                ],
            }
        ],
    }


def _expression(ref_id: str, model: Json) -> Json:
    return {
        "refId": ref_id,
        "queryType": "",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": ref_id,
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            "intervalMs": 1000,
            "maxDataPoints": 43_200,
            **model,
        },
    }
