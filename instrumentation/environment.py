"""The device, host and software that a run stands on, read once per process."""

import functools
import hashlib
import os
import platform
import socket
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from opentelemetry.sdk.resources import OTELResourceDetector


class Environment(TypedDict):
    """The fields of `exray.schema.records.Run` that every run of a process shares."""

    device_id: str
    device_model: str
    device_manufacturer: str
    host_arch: str
    host_name: str
    os_type: str
    os_version: str
    vcs_revision: str | None
    vcs_ref: str | None
    deployment_environment: str | None
    exray_version: str


@functools.cache
def read_environment() -> Environment:
    """Read the process's environment; ``OTEL_RESOURCE_ATTRIBUTES`` comes before the machine."""
    declared = OTELResourceDetector().detect().attributes

    def pick(key: str, fallback: str | None = None) -> str | None:
        value = declared.get(key)
        return str(value) if value is not None else fallback

    return Environment(
        device_id=pick("device.id") or os.environ.get("EXRAY_DEVICE_ID") or _machine_id(),
        device_model=pick("device.model.identifier") or _device_model(),
        device_manufacturer=pick("device.manufacturer") or _first_line(_DMI / "sys_vendor") or "",
        host_arch=pick("host.arch") or platform.machine(),
        host_name=pick("host.name") or socket.gethostname(),
        os_type=pick("os.type") or platform.system().lower(),
        os_version=pick("os.version") or platform.release(),
        vcs_revision=pick("vcs.ref.head.revision"),
        vcs_ref=pick("vcs.ref.head.name"),
        deployment_environment=pick("deployment.environment.name"),
        exray_version=package_version("exray"),
    )


def package_version(name: str) -> str:
    """Return the version of an installed distribution, empty where it is not one."""
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return ""


_DMI = Path("/sys/class/dmi/id")


def _device_model() -> str:
    board = _first_line(Path("/sys/firmware/devicetree/base/model"))
    return board or _first_line(_DMI / "product_name") or platform.machine()


def _machine_id() -> str:
    """Return a stable id of this machine that does not give its machine-id away.

    machine-id(5) asks applications never to send it as it is, but a keyed hash of it.
    """
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        text = _first_line(path)
        if text and text != "uninitialized":  # what an image holds before its first boot
            return hashlib.blake2b(text.encode(), key=b"exray", digest_size=8).hexdigest()
    return hashlib.blake2b(socket.gethostname().encode(), key=b"exray", digest_size=8).hexdigest()


def _first_line(path: Path) -> str:
    try:
        # Device-tree strings end in a NUL byte.
        return path.read_text("utf-8", errors="replace").strip("\x00\n ").split("\n")[0]
    except OSError:
        return ""
