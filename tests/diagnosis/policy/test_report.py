"""Reports for machines."""

from xml.etree import ElementTree

from exray.diagnosis.causes import Where
from exray.diagnosis.policy import Check, github_annotations, junit_xml

CHECKS = (
    Check("top1", "fail", "0.5 < 0.7\n100 %", Where()),
    Check("sqnr_db", "pass", "3 kept to it", Where()),
    Check("kernel.layer", "waived", "known", Where(layer_index=1, layer="a,b")),
    Check("model_ms", "unjudged", "not measured \x1b[2J", Where()),
)


def test_junit_counts_failures_errors_and_skipped() -> None:
    root = ElementTree.fromstring(junit_xml(CHECKS, "suite"))
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert [case.get("name") for case in root][2] == "kernel.layer at layer 1 'a,b'"
    failure = root.find("testcase/failure")
    assert failure is not None
    assert "0.5 < 0.7" in (failure.text or "")


def test_junit_holds_nothing_that_xml_forbids() -> None:
    assert "\x1b" not in junit_xml(CHECKS, "suite \x1b")


def test_github_shows_errors_warnings_and_notices_with_escapes() -> None:
    assert github_annotations(CHECKS)[:2] == [
        "::error title=top1::0.5 < 0.7%0A100 %25",
        "::notice title=kernel.layer at layer 1 'a%2Cb'::known",
    ]
    assert github_annotations(CHECKS)[2].startswith("::warning title=model_ms::")
