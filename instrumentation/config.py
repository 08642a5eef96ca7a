"""What the user can set, where it comes from, and what it means.

An explicit argument comes before the environment (OpenTelemetry's variables first, then
exray's own), and that before the default:

===================  ============================================  =========================  ===========
argument             OpenTelemetry                                 exray                      default
===================  ============================================  =========================  ===========
``build``            ``OTEL_RESOURCE_ATTRIBUTES`` service.version  ``EXRAY_BUILD``            ``dev``
``role``             —                                             ``EXRAY_ROLE``             ``edge``
``lake``             —                                             ``EXRAY_LAKE``             ``lake``
``endpoint``         ``OTEL_EXPORTER_OTLP_ENDPOINT`` [1]_          ``EXRAY_ENDPOINT``         none
``spool``            —                                             ``EXRAY_SPOOL`` [2]_       [2]_
``spool_bytes``      —                                             ``EXRAY_SPOOL_BYTES``      256 MiB
``level``            ``OTEL_SDK_DISABLED=true`` means ``off``      ``EXRAY_LEVEL``            ``summary``
``layers``           —                                             ``EXRAY_LAYERS``           ``all``
``sampling``         —                                             ``EXRAY_SAMPLING``         ``budget``
``overhead_budget``  —                                             ``EXRAY_OVERHEAD_BUDGET``  ``0.02``
``privacy``          —                                             ``EXRAY_PRIVACY``          ``closed``
``fleet_secret``     —                                             ``EXRAY_FLEET_SECRET``     none
``full_ring_bytes``  —                                             ``EXRAY_FULL_RING_BYTES``  1 GiB
``host_period_s``    —                                             ``EXRAY_HOST_PERIOD_S``    5, 0 is off
===================  ============================================  =========================  ===========

Privacy is ``open`` by default where recorded inputs are played back (``exray run``).

.. [1] Where neither an endpoint nor a lake is named otherwise: that variable is for all
   telemetry of an application. Without a lake named, an endpoint gets the records alone.

.. [2] Where what an endpoint has not taken yet is kept; ``off`` keeps it in memory. Default:
   ``$XDG_STATE_HOME/exray/spool``.

``EXRAY_NATIVE=off`` keeps the native library from being loaded: all is done in Python then.

A wrong argument is an error. A wrong variable is logged, and the default taken: whoever
sets a device's environment must not be able to stop its application.
"""

import contextlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from opentelemetry.sdk.resources import OTELResourceDetector

from exray.exporters.spool import SMALLEST_SPOOL_BYTES, SPOOL_BYTES, default_spool
from exray.lake.tensors import FULL_RING_BYTES
from exray.schema.errors import UsageError
from exray.schema.keying import secret_from_text

from .guard import log_once
from .level import Level
from .privacy import PrivacyMode, parse_privacy
from .selection import EVERY_LAYER, LayerSelection

__all__ = ["Config", "Level", "resolve"]

ROLES = ("edge", "reference")

HOST_PERIOD_S = "5"
"""Often enough for a temperature, and for a load that is a mean over the time between."""

SHORTEST_PERIOD_S = 0.01
"""Linux counts the load in ticks of 10 ms."""

SAMPLING = ("budget", "all")
"""Record what the budget allows, or every frame."""

OVERHEAD_BUDGET = 0.02
"""Mean share of the frames' own time that recording may take, unless the user says more."""

Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Config:
    """Resolved settings of one `exray.configure()`."""

    build: str
    role: str
    lake: Path
    level: Level
    auto: bool
    layers: LayerSelection = EVERY_LAYER
    host_period_s: float = 0.0
    """Time between readings of the host, seconds; 0 for none."""
    sampling: str = "all"
    overhead_budget: float = OVERHEAD_BUDGET
    privacy: PrivacyMode = "closed"
    fleet_secret: bytes | None = field(default=None, repr=False)
    full_ring_bytes: int = FULL_RING_BYTES
    spool: Path | None = None
    """Where what an endpoint has not taken is kept; None for memory."""
    spool_bytes: int = SPOOL_BYTES


def resolve(
    *,
    build: str | None = None,
    role: str | None = None,
    lake: str | os.PathLike[str] | None = None,
    level: str | None = None,
    host_period_s: float | None = None,
    auto: bool = True,
    layers: str | Sequence[str] | None = None,
    sampling: str | None = None,
    overhead_budget: float | None = None,
    privacy: str | None = None,
    fleet_secret: str | bytes | None = None,
    full_ring_bytes: int | None = None,
    spool: str | os.PathLike[str] | None = None,
    spool_bytes: int | None = None,
    default_privacy: PrivacyMode = "closed",
) -> Config:
    """Complete the arguments from the environment and the defaults.

    Args:
        default_privacy: The default of *privacy*; the others' are in the table above.

    Raises:
        UsageError: An argument is not one of those allowed.
    """
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if level is None and disabled:
        level = str(Level.OFF)
    config = Config(
        build=_declared_build() if build is None else _parse_build(build),
        role=_from_environment("EXRAY_ROLE", _parse_role, "edge")
        if role is None
        else _parse_role(role),
        # Absolute: an application may change its folder before the first commit.
        lake=(
            _from_environment("EXRAY_LAKE", _parse_lake, "lake")
            if lake is None
            else _parse_lake(lake)
        ).absolute(),
        level=_from_environment("EXRAY_LEVEL", Level.parse, "summary")
        if level is None
        else Level.parse(level),
        auto=auto,
        layers=_from_environment("EXRAY_LAYERS", LayerSelection.parse, "all")
        if layers is None
        else LayerSelection.parse(layers),
        host_period_s=_from_environment("EXRAY_HOST_PERIOD_S", _parse_period, HOST_PERIOD_S)
        if host_period_s is None
        else _parse_period(host_period_s),
        sampling=_from_environment("EXRAY_SAMPLING", _parse_sampling, "budget")
        if sampling is None
        else _parse_sampling(sampling),
        overhead_budget=_from_environment(
            "EXRAY_OVERHEAD_BUDGET", _parse_budget, str(OVERHEAD_BUDGET)
        )
        if overhead_budget is None
        else _parse_budget(overhead_budget),
        privacy=_from_environment("EXRAY_PRIVACY", parse_privacy, default_privacy)
        if privacy is None
        else parse_privacy(privacy),
        fleet_secret=_declared_secret() if fleet_secret is None else secret_from_text(fleet_secret),
        full_ring_bytes=_from_environment(
            "EXRAY_FULL_RING_BYTES", _parse_bytes, str(FULL_RING_BYTES)
        )
        if full_ring_bytes is None
        else _parse_bytes(full_ring_bytes),
        spool=_from_environment("EXRAY_SPOOL", _parse_spool, str(default_spool()))
        if spool is None
        else _parse_spool(spool),
        spool_bytes=_from_environment("EXRAY_SPOOL_BYTES", _parse_spool_bytes, str(SPOOL_BYTES))
        if spool_bytes is None
        else _parse_spool_bytes(spool_bytes),
    )
    asked = level is not None or layers is not None
    return _without_full(config, asked=asked and not os.environ.get("EXRAY_PRIVACY", "").strip())


def _without_full(config: Config, *, asked: bool) -> Config:
    """Return *config* without level full where privacy is closed.

    Args:
        asked: Whether the caller asked for it, and nothing of the environment forbids it:
            then it is an error of the caller's.
    """
    if config.privacy == "open" or config.level == Level.OFF:
        return config
    if max(config.level, config.layers.highest(config.level)) < Level.FULL:
        return config
    msg = (
        "level 'full' keeps whole tensors, which privacy 'closed' does not allow; pass "
        "privacy='open' (EXRAY_PRIVACY=open) if the inputs may leave the device, or level "
        "'distribution'"
    )
    if asked:
        raise UsageError(msg)
    log_once("full closed", f"{msg}. 'distribution' is used instead.")
    most = Level.DISTRIBUTION
    return replace(config, level=min(config.level, most), layers=config.layers.capped(most))


def _from_environment(name: str, parse: Callable[[str], Choice], default: str) -> Choice:
    """Return what variable *name* says; an empty one says nothing, as OpenTelemetry has it."""
    text = os.environ.get(name, "").strip()
    try:
        return parse(text or default)
    except UsageError as error:
        log_once(name, f"{name}={text!r} is ignored: {error}. {default!r} is used instead.")
        return parse(default)


def _declared_secret() -> bytes | None:
    text = os.environ.get("EXRAY_FLEET_SECRET", "").strip()
    try:
        return secret_from_text(text) if text else None
    except UsageError as error:  # whose message never shows the secret
        log_once("EXRAY_FLEET_SECRET", f"EXRAY_FLEET_SECRET is ignored: {error}.")
        return None


def _declared_build() -> str:
    version = OTELResourceDetector().detect().attributes.get("service.version")
    return str(version or "") or os.environ.get("EXRAY_BUILD", "").strip() or "dev"


def _parse_build(build: object) -> str:
    if not isinstance(build, str) or not build.strip():
        msg = f"build {build!r} is no name; expected a text that is not empty, such as '1.4.2'"
        raise UsageError(msg)
    return build


def _parse_bytes(size: object) -> int:
    if isinstance(size, str) and size.isascii() and size.isdigit():
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        msg = f"full_ring_bytes {size!r} is no size; expected a number of bytes above 0"
        raise UsageError(msg)
    return size


def _parse_spool(spool: object) -> Path | None:
    if not isinstance(spool, str | os.PathLike) or not os.fspath(spool):
        msg = f"spool {spool!r} is no path; expected a folder for this device alone, or 'off'"
        raise UsageError(msg)
    path = os.fsdecode(os.fspath(spool))
    # Absolute: an application may change its folder before the first records are sent.
    return None if path == "off" else Path(path).absolute()


def _parse_spool_bytes(size: object) -> int:
    if isinstance(size, str) and size.isascii() and size.isdigit():
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or size < SMALLEST_SPOOL_BYTES:
        msg = f"spool_bytes {size!r} is no size; expected {SMALLEST_SPOOL_BYTES} bytes or more"
        raise UsageError(msg)
    return size


def _parse_role(role: object) -> str:
    if role not in ROLES:
        msg = f"role {role!r} is unknown; expected one of {', '.join(ROLES)}"
        raise UsageError(msg)
    return str(role)


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Beginning of a URL, also of one that went through `pathlib.Path`, which joins slashes."""


def _parse_lake(lake: object) -> Path:
    if not isinstance(lake, str | os.PathLike) or not os.fspath(lake):
        msg = f"lake {lake!r} is no path; expected the lake's folder, such as 'lake'"
        raise UsageError(msg)
    path = os.fsdecode(os.fspath(lake))
    if _URL.match(path):
        msg = (
            f"lake {path!r} is a URL, which is not supported here yet; expected the lake's local "
            "folder, such as 'lake'"
        )
        raise UsageError(msg)
    return Path(path)


def _parse_period(period: object) -> float:
    try:
        seconds = float(str(period))
    except ValueError:
        seconds = -1.0
    if seconds != 0 and not SHORTEST_PERIOD_S <= seconds < float("inf"):
        msg = (
            f"host_period_s {period!r} is no period; expected seconds, at least "
            f"{SHORTEST_PERIOD_S}, or 0 for no host readings"
        )
        raise UsageError(msg)
    return seconds


def _parse_sampling(sampling: object) -> str:
    if sampling not in SAMPLING:
        msg = f"sampling {sampling!r} is unknown; expected one of {', '.join(SAMPLING)}"
        raise UsageError(msg)
    return str(sampling)


def _parse_budget(budget: object) -> float:
    share = math.nan
    if isinstance(budget, str | int | float):
        with contextlib.suppress(ValueError):
            share = float(budget)
    if not 0 < share <= 1:
        msg = (
            f"overhead_budget {budget!r} is no share of the frames' time; expected a number above "
            "0 and at most 1, such as 0.02 for 2 %. To record every frame whatever it costs: "
            "sampling='all'"
        )
        raise UsageError(msg)
    return share
