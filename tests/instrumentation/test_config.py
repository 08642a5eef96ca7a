from pathlib import Path
from typing import Any

import pytest

from exray.instrumentation.config import Level, resolve
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.selection import LayerSelection
from exray.schema.errors import UsageError

VARIABLES = (
    "EXRAY_BUILD",
    "EXRAY_ROLE",
    "EXRAY_LAKE",
    "EXRAY_LEVEL",
    "EXRAY_SAMPLING",
    "EXRAY_OVERHEAD_BUDGET",
    "EXRAY_LAYERS",
    "EXRAY_HOST_PERIOD_S",
    "EXRAY_PRIVACY",
    "EXRAY_FLEET_SECRET",
    "EXRAY_FULL_RING_BYTES",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_arguments_and_environment_there_are_defaults() -> None:
    config = resolve()

    assert (config.build, config.role, config.level, config.auto) == (
        "dev",
        "edge",
        Level.SUMMARY,
        True,
    )
    assert config.lake == Path("lake").absolute()


def test_exrays_variables_come_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("EXRAY_BUILD", "7"),
        ("EXRAY_ROLE", "reference"),
        ("EXRAY_LAKE", "/data/lake"),
        ("EXRAY_LEVEL", "latency"),
    ):
        monkeypatch.setenv(name, value)

    config = resolve()

    assert (config.build, config.role, config.lake, config.level) == (
        "7",
        "reference",
        Path("/data/lake"),
        Level.LATENCY,
    )


def test_opentelemetrys_variables_come_before_exrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=app,service.version=2.0%2Brc")
    monkeypatch.setenv("EXRAY_BUILD", "7")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("EXRAY_LEVEL", "summary")

    config = resolve()

    assert (config.build, config.level) == ("2.0+rc", Level.OFF)


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=2.0")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    for name in ("EXRAY_ROLE", "EXRAY_LAKE", "EXRAY_LEVEL"):
        monkeypatch.setenv(name, "nonsense")

    config = resolve(build="3", role="reference", lake="here", level="latency", auto=False)

    assert (config.build, config.role, config.lake.name, config.level, config.auto) == (
        "3",
        "reference",
        "here",
        Level.LATENCY,
        False,
    )


def test_an_empty_variable_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")

    config = resolve()

    assert (config.build, config.role, config.level) == ("dev", "edge", Level.SUMMARY)
    assert caplog.messages == []


def test_a_lake_stays_where_it_was_when_the_application_changes_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert resolve(lake="lake").lake == tmp_path / "lake"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"role": "server"}, "role 'server' is unknown; expected one of edge, reference"),
        ({"role": ""}, "role '' is unknown"),
        ({"level": "loud"}, "level 'loud' is unknown; expected one of off, latency, summary, "),
        ({"level": ""}, "level '' is unknown"),
        ({"build": ""}, "build '' is no name"),
        ({"build": 142}, "build 142 is no name"),
        ({"lake": 7}, "lake 7 is no path"),
        ({"lake": ""}, "lake '' is no path"),
        ({"lake": "s3://x/y"}, "lake 's3://x/y' is a URL, which is not supported here yet"),
        ({"lake": Path("s3://x/y")}, "lake 's3:/x/y' is a URL"),
        ({"sampling": "some"}, "sampling 'some' is unknown; expected one of budget, all"),
        ({"overhead_budget": 2}, "overhead_budget 2 is no share of the frames' time; expected"),
        ({"overhead_budget": 0.0}, "overhead_budget 0.0 is no share"),
        ({"overhead_budget": float("nan")}, "overhead_budget nan is no share"),
        ({"overhead_budget": "much"}, "overhead_budget 'much' is no share"),
        ({"full_ring_bytes": 0}, "full_ring_bytes 0 is no size"),
        ({"full_ring_bytes": "1 GB"}, "full_ring_bytes '1 GB' is no size"),
        ({"privacy": "shut"}, "privacy 'shut' is unknown; expected one of closed, open"),
        ({"fleet_secret": "short"}, "fleet_secret has 5 bytes"),
        ({"layers": ["5-0"]}, "layer selector '5-0' runs backwards"),
        ({"host_period_s": -1}, "host_period_s -1 is no period; expected seconds, at least 0.01"),
        ({"host_period_s": 0.001}, "host_period_s 0.001 is no period"),
        ({"host_period_s": float("nan")}, "host_period_s nan is no period"),
        ({"host_period_s": float("inf")}, "host_period_s inf is no period"),
        ({"host_period_s": "often"}, "host_period_s 'often' is no period"),
    ],
)
def test_a_bad_argument_is_an_error_that_says_what_was_expected(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(**arguments)


@pytest.mark.parametrize(
    ("argument", "variable", "period_s"),
    [(None, "", 5.0), (None, "0.5", 0.5), (2, "0.5", 2.0), (0, "0.5", 0.0), (None, "soon", 5.0)],
)
def test_the_host_is_read_at_the_period_that_was_set(
    monkeypatch: pytest.MonkeyPatch, argument: float | None, variable: str, period_s: float
) -> None:
    monkeypatch.setenv("EXRAY_HOST_PERIOD_S", variable)

    assert resolve(host_period_s=argument).host_period_s == period_s


@pytest.mark.parametrize("arguments", [{"level": "full"}, {"layers": ["conv*=full"]}])
def test_level_full_is_refused_where_privacy_is_closed(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="keeps whole tensors, which privacy 'closed' does not"):
        resolve(**arguments)

    config = resolve(**arguments, privacy="open")
    assert config.layers.highest(config.level) == Level.FULL


def test_an_environment_that_closes_privacy_does_not_stop_the_application(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EXRAY_PRIVACY", "closed")

    config = resolve(level="full", layers=["*", "conv*=full"])

    assert config.level == config.layers.highest(config.level) == Level.DISTRIBUTION
    (message,) = caplog.messages
    assert message.endswith("'distribution' is used instead.")


def test_an_environment_that_wants_level_full_alone_gets_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXRAY_LEVEL", "full")

    assert resolve().level == Level.DISTRIBUTION
    assert resolve(default_privacy="open").level == Level.FULL


def test_the_rings_size_is_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve().full_ring_bytes == 1 << 30
    monkeypatch.setenv("EXRAY_FULL_RING_BYTES", "5000")
    assert resolve().full_ring_bytes == 5000
    assert resolve(full_ring_bytes=7).full_ring_bytes == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXRAY_LEVEL", "loud"),
        ("EXRAY_LAYERS", "5-0"),
        ("EXRAY_PRIVACY", "shut"),
        ("EXRAY_ROLE", "server"),
    ],
)
def test_a_bad_variable_is_logged_once_and_the_default_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    resolve()
    config = resolve()

    assert (config.role, config.level) == ("edge", Level.SUMMARY)
    (message,) = caplog.messages
    assert message.startswith(f"{name}={value!r} is ignored: ")


def test_layers_are_those_of_the_argument_else_of_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve().layers == LayerSelection()
    monkeypatch.setenv("EXRAY_LAYERS", "conv*,0-5")

    assert resolve().layers == LayerSelection.parse(["conv*", "0-5"])
    assert resolve(layers=[]).layers == LayerSelection.parse("none")


def test_privacy_is_closed_unless_somebody_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve().privacy == "closed"
    assert resolve(default_privacy="open").privacy == "open"
    assert resolve(privacy="open").privacy == "open"
    monkeypatch.setenv("EXRAY_PRIVACY", "closed")
    assert resolve(default_privacy="open").privacy == "closed"
    assert resolve(privacy="open").privacy == "open"


def test_the_fleets_secret_is_that_of_the_argument_else_of_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve().fleet_secret is None
    monkeypatch.setenv("EXRAY_FLEET_SECRET", "a secret of some length")

    assert resolve().fleet_secret == b"a secret of some length"
    assert resolve(fleet_secret="another one, as long").fleet_secret == b"another one, as long"
    assert "secret of some length" not in repr(resolve())


def test_a_secret_too_short_to_keep_is_ignored_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EXRAY_FLEET_SECRET", "hunter2")

    assert resolve().fleet_secret is None
    (message,) = caplog.messages
    assert message.startswith("EXRAY_FLEET_SECRET is ignored: ")
    assert "hunter2" not in message


def test_malformed_resource_attributes_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version")

    assert resolve().build == "dev"


def test_a_level_is_known_by_its_name_in_any_case() -> None:
    assert [str(Level.parse(name)) for name in ("OFF", "Latency", "summary")] == [
        "off",
        "latency",
        "summary",
    ]


def test_a_level_stands_for_its_own_name() -> None:
    assert Level.parse(Level.LATENCY) is Level.LATENCY  # type: ignore[arg-type] # as users will


def test_an_application_keeps_a_budget_of_two_percent_unless_it_says_otherwise() -> None:
    config = resolve()

    assert (config.sampling, config.overhead_budget) == ("budget", 0.02)
    assert resolve(sampling="all").sampling == "all"
    assert resolve(overhead_budget=0.1).overhead_budget == 0.1


def test_sampling_and_budget_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXRAY_SAMPLING", "all")
    monkeypatch.setenv("EXRAY_OVERHEAD_BUDGET", "0.05")

    config = resolve()

    assert (config.sampling, config.overhead_budget) == ("all", 0.05)


def test_a_bad_budget_in_the_environment_is_logged_and_the_default_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EXRAY_OVERHEAD_BUDGET", "2%")

    assert resolve().overhead_budget == 0.02
    (message,) = caplog.messages
    assert message.startswith("EXRAY_OVERHEAD_BUDGET='2%' is ignored: overhead_budget '2%' is no")
