from collections.abc import Iterator
from pathlib import Path

import pytest

from exray.instrumentation import environment
from exray.instrumentation.environment import package_version, read_environment


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    read_environment.cache_clear()
    yield
    read_environment.cache_clear()


def test_declared_attributes_come_before_what_the_machine_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "device.id=cam-7,device.model.identifier=Board%20X,host.name=door,"
        "vcs.ref.head.revision=abc123,deployment.environment.name=field",
    )
    monkeypatch.setenv("EXRAY_DEVICE_ID", "other")

    found = read_environment()

    assert (found["device_id"], found["device_model"], found["host_name"]) == (
        "cam-7",
        "Board X",
        "door",
    )
    assert (found["vcs_revision"], found["deployment_environment"]) == ("abc123", "field")


def test_a_device_may_be_named_by_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    monkeypatch.setenv("EXRAY_DEVICE_ID", "cam-8")

    assert read_environment()["device_id"] == "cam-8"


def test_without_a_name_the_device_has_a_stable_id_that_is_not_its_machine_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    monkeypatch.delenv("EXRAY_DEVICE_ID", raising=False)

    first = read_environment()["device_id"]
    read_environment.cache_clear()

    assert read_environment()["device_id"] == first
    assert len(first) == 16
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        assert not path.exists() or first not in path.read_text()


def test_it_is_read_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_environment()
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "device.id=other")

    assert read_environment() is first


def test_where_the_machine_tells_nothing_there_is_still_an_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)

    def tell_nothing(path: Path) -> str:
        return ""

    monkeypatch.setattr(environment, "_first_line", tell_nothing)

    found = read_environment()

    assert found["device_id"]
    assert found["device_model"] == found["host_arch"]
    assert found["device_manufacturer"] == ""


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert package_version("exray-no-such-package") == ""


def test_a_package_that_is_installed_has_its_version() -> None:
    assert package_version("numpy").count(".") >= 1
