"""The gate before a release: limits, waivers, and what a diagnosis may come to."""

from .policy import Limit, Policy, Waiver, load_policy
from .report import github_annotations, junit_xml
from .verdicts import Check, Outcome, check_diagnosis, exit_code

__all__ = [
    "Check",
    "Limit",
    "Outcome",
    "Policy",
    "Waiver",
    "check_diagnosis",
    "exit_code",
    "github_annotations",
    "junit_xml",
    "load_policy",
]
