"""Checks as JUnit XML, and as annotations of GitHub Actions."""

from collections.abc import Sequence
from xml.etree import ElementTree

from exray.diagnosis.causes import Where
from exray.diagnosis.diagnosis_wording import place
from exray.queries.names import printable

from .verdicts import Check


def junit_xml(checks: Sequence[Check], suite: str) -> str:
    """Return checks as a JUnit test suite: failed, in error where unjudged, skipped where waived.

    Args:
        checks: What was checked.
        suite: What the suite is called.
    """
    root = ElementTree.Element(
        "testsuite",
        name=printable(suite),
        tests=str(len(checks)),
        failures=str(sum(check.outcome == "fail" for check in checks)),
        errors=str(sum(check.outcome == "unjudged" for check in checks)),
        skipped=str(sum(check.outcome == "waived" for check in checks)),
    )
    tags = {"fail": "failure", "unjudged": "error", "waived": "skipped"}
    for check in checks:
        case = ElementTree.SubElement(
            root, "testcase", classname="exray.check", name=printable(_title(check))
        )
        if check.outcome != "pass":
            told = printable(check.message)
            ElementTree.SubElement(case, tags[check.outcome], message=told).text = told
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def github_annotations(checks: Sequence[Check]) -> list[str]:
    """Return what GitHub Actions shows beside a change: errors, warnings and notices."""
    commands = {"fail": "error", "unjudged": "warning", "waived": "notice"}
    return [
        f"::{commands[check.outcome]} title={_property(_title(check))}::{_data(check.message)}"
        for check in checks
        if check.outcome in commands
    ]


def _title(check: Check) -> str:
    at = place(check.where) if check.where != Where() else ""
    return f"{check.name} at {at}" if at else check.name


def _data(text: str) -> str:
    """Escape a message as the workflow commands of GitHub Actions want it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
