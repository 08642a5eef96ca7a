"""The alert rules, and their JSON for Grafana's alerting."""

from .rule import (
    FOLDER_TITLE,
    FOLDER_UID,
    GROUP,
    INTERVAL_S,
    Rule,
    group_file,
    group_json,
    rule_json,
)
from .rules import RULES, rules

__all__ = [
    "FOLDER_TITLE",
    "FOLDER_UID",
    "GROUP",
    "INTERVAL_S",
    "RULES",
    "Rule",
    "group_file",
    "group_json",
    "rule_json",
    "rules",
]
