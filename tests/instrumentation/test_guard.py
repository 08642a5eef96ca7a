import logging
from collections.abc import Iterator

import pytest

from exray.instrumentation.guard import TEXT_LIMIT, error_text, forget_logged, guard, log_once

from .builders import raising


@pytest.fixture(autouse=True)
def _in_an_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    yield
    forget_logged()


def test_what_fails_under_the_guard_is_swallowed_and_logged_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with guard("record a frame"):
        raise ValueError("no space")

    (message,) = caplog.messages
    assert message == (
        "exray could not record a frame: ValueError: no space. The application is not affected; "
        "further failures of this kind are not logged."
    )


def test_the_same_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with guard("record a frame"):
            raise ValueError("no space")

    assert len(caplog.records) == 1


def test_another_failure_at_the_same_place_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    for error in (ValueError("a"), TypeError("b")):
        with guard("record a frame"):
            raise error

    assert len(caplog.records) == 2


def test_a_new_configuration_lets_failures_be_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        with guard("record a frame"):
            raise ValueError("no space")
        forget_logged()

    assert len(caplog.records) == 2


def test_the_traceback_goes_to_debug_as_text_that_keeps_no_object_alive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    with guard("record a frame"):
        raising(ValueError("no space"))()

    warning, debug = caplog.records
    assert (warning.exc_info, debug.exc_info) == (None, None)
    assert "in fail" in debug.getMessage()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_what_is_no_exception_of_exrays_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), guard("record a frame"):
        raise error


def test_under_the_projects_own_tests_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXRAY_GUARD", "raise")

    with pytest.raises(ValueError, match="no space"), guard("record a frame"):
        raise ValueError("no space")


def test_a_log_handler_that_raises_does_not_reach_the_application() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no log")

    handler = Broken()
    logging.getLogger("exray").addHandler(handler)
    try:
        with guard("record a frame"):
            raise ValueError("no space")
    finally:
        logging.getLogger("exray").removeHandler(handler)


def test_an_error_that_cannot_be_printed_is_named_by_its_type() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert error_text(SilentError()) == "SilentError"


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert error_text(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_long_message_is_cut() -> None:
    assert len(error_text(ValueError("x" * 10_000))) == TEXT_LIMIT + len("...")


def test_messages_with_one_key_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log_once("lake", "first")
    log_once("lake", "second")

    assert [record.getMessage() for record in caplog.records] == ["first"]
