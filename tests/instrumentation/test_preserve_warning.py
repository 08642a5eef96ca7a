import threading
import warnings

import pytest

from exray.instrumentation.preserve_warning import BEGINNING, without_preserve_warning


def warn(text: str = f"{BEGINNING} with the AUTO op resolver") -> None:
    warnings.warn(text, UserWarning, stacklevel=2)


def test_the_warning_is_hidden_inside_the_block() -> None:
    with without_preserve_warning():
        warn()


def test_it_is_hidden_even_where_the_application_makes_warnings_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with without_preserve_warning():
            warn()


def test_any_other_warning_stays_visible_inside_the_block() -> None:
    with pytest.warns(UserWarning, match="deprecated"), without_preserve_warning():
        warn("    Warning: tf.lite.Interpreter is deprecated")


def test_the_users_own_stays_visible_after_the_block() -> None:
    with without_preserve_warning():
        warn()

    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        warn()


def test_the_users_own_stays_visible_on_another_thread_meanwhile() -> None:
    thread = threading.Thread(target=warn)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with without_preserve_warning():
            thread.start()
            thread.join()

    assert [str(warning.message).startswith(BEGINNING) for warning in shown] == [True]


def test_the_filters_are_afterwards_what_they_were() -> None:
    before = list(warnings.filters)

    with without_preserve_warning(), without_preserve_warning():
        warn()

    assert list(warnings.filters) == before


def test_threads_at_once_leave_the_filters_as_they_were() -> None:
    before, inside = list(warnings.filters), threading.Barrier(4, timeout=10)

    def work() -> None:
        for _ in range(20):
            inside.wait()
            with without_preserve_warning():
                inside.wait()
                warn()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(warnings.filters) == before


def test_filters_that_the_application_sets_meanwhile_are_kept() -> None:
    with warnings.catch_warnings():
        quiet = without_preserve_warning()
        quiet.__enter__()
        warnings.simplefilter("ignore", ResourceWarning)
        kept = [entry for entry in warnings.filters if entry[2] is ResourceWarning]
        quiet.__exit__()

        assert [entry for entry in warnings.filters if entry[2] is ResourceWarning] == kept


def test_filters_that_the_application_resets_meanwhile_raise_nothing() -> None:
    with warnings.catch_warnings(), without_preserve_warning():
        warnings.resetwarnings()


def test_a_warning_shown_once_per_place_is_not_shown_again_because_of_it() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(3):
            warn("once per place")
            with without_preserve_warning():
                warn()

    assert [str(warning.message) for warning in shown] == ["once per place"]
