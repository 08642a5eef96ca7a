"""Everything that can be set of a collector: one file, and options of the same names.

An option on the command line comes before the file (YAML, or TOML by its name), and that
before the default.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exray.schema.errors import UsageError, continued
from exray.schema.yaml_text import parse_yaml

from .address import may_share
from .limits import Limits

MOST_BY_DEFAULT = 4
"""Receivers; beyond them the disk, and the drain, are what bounds a collector."""

Positive = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """Settings of one collector, each with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lake: str | None = Field(
        default=None, description="Folder of the lake, or s3://BUCKET/PREFIX; must be given."
    )
    wal: Path = Field(
        default=Path("exray-wal"),
        description="Folder of the log, on a local disk; what is acknowledged is there.",
    )
    grpc: str = Field(
        default="127.0.0.1:4317", description="Where gRPC is taken; none to do without."
    )
    http: str = Field(
        default="127.0.0.1:4318", description="Where HTTP is taken; none to do without."
    )
    token_file: Path | None = Field(
        default=None, description="Lines 'NAME TOKEN': who may send. Read again when it changes."
    )
    tls_cert: Path | None = Field(default=None, description="Certificate of the collector, PEM.")
    tls_key: Path | None = Field(default=None, description="Its private key, PEM.")
    client_ca: Path | None = Field(
        default=None, description="Authority whose certificates clients must show, PEM."
    )
    insecure: bool = Field(
        default=False, description="Be reached from other machines without TLS or tokens."
    )
    max_request_bytes: Positive = Field(default=16 << 20, description="Of one request as received.")
    max_unpacked_bytes: Positive = Field(
        default=32 << 20, description="Of one request unpacked; of JSON a quarter."
    )
    max_ratio: Positive = Field(
        default=200, description="Bytes that one byte may unpack to, above 1 MiB unpacked."
    )
    max_records: Positive = Field(
        default=200_000, description="Spans, points or log records of one request."
    )
    max_attributes: Positive = Field(default=1024, description="Of one span, point or log record.")
    max_attribute_bytes: Positive = Field(default=1 << 20, description="Of one attribute.")
    max_inflight_bytes: Positive = Field(
        default=128 << 20, description="Of all requests at once, packed and unpacked."
    )
    max_log_bytes: Positive = Field(
        default=4 << 30, description="Of the log, where large requests lie packed by Snappy."
    )
    when_full: Literal["refuse", "drop_oldest"] = Field(
        default="refuse",
        description="What gives way where the log is full: new requests, which come again, or "
        "the oldest in it, which are lost and counted.",
    )
    retry_after_s: int = Field(
        default=1, ge=1, le=2, description="What clients are told to wait; longer ones give up."
    )
    receivers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that take requests, on Linux; by default one for each core, up to "
        "four, while each has its part of max_inflight_bytes for a largest request.",
    )
    decoders: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that bring the logs into the lake, each log in one; by default one "
        "for every two receivers.",
    )
    threads: int = Field(
        default=16, ge=1, le=256, description="Requests at once, of gRPC and of HTTP each."
    )
    max_connections: Positive = Field(default=1000, description="Of HTTP at once.")
    body_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest pause in the body of a request over HTTP."
    )
    self_metrics_s: float = Field(
        default=60.0,
        ge=0,
        description="How often the collector's own numbers are stored; 0 for never.",
    )
    metrics_endpoint: str | None = Field(
        default=None, description="OTLP server that gets them instead of the lake."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Of what goes to stderr."
    )

    def receiver_count(self) -> int:
        """Return how many processes take requests.

        Raises:
            UsageError: So many cannot share what they are given.
        """
        if not may_share():
            return 1
        largest = self.max_request_bytes + self.max_unpacked_bytes
        most = max(self.max_inflight_bytes // largest, 1)
        if self.receivers is None:
            return min(len(os.sched_getaffinity(0)), MOST_BY_DEFAULT, most)
        if self.receivers > most:
            msg = (
                f"--receivers {self.receivers} is too many: of max_inflight_bytes "
                f"({self.max_inflight_bytes}) each needs its part for a request of "
                f"max_request_bytes and max_unpacked_bytes ({largest}). Give it more, or "
                f"--receivers {most}"
            )
            raise UsageError(msg)
        return self.receivers

    def decoder_count(self, receivers: int) -> int:
        """Return how many processes bring the logs of so many receivers into the lake."""
        return self.decoders or max(receivers // 2, 1)

    def share_of(self, receivers: int) -> "Settings":
        """Return the settings of one of so many processes: together they have what is said."""
        return self.model_copy(
            update={
                "receivers": 1,
                "max_inflight_bytes": self.max_inflight_bytes // receivers,
                "max_log_bytes": max(self.max_log_bytes // receivers, 1),
                "max_connections": -(-self.max_connections // receivers),
                "threads": -(-self.threads // receivers),
            }
        )

    def limits(self) -> Limits:
        """Return the bounds of one request."""
        return Limits(
            request_bytes=self.max_request_bytes,
            unpacked_bytes=self.max_unpacked_bytes,
            ratio=self.max_ratio,
            records=self.max_records,
            attributes=self.max_attributes,
            attribute_bytes=self.max_attribute_bytes,
        )


def load_settings(path: Path | None, options: Mapping[str, object]) -> Settings:
    """Return what *path* says, with *options* before it.

    Args:
        path: The file; None for none.
        options: By the names of the file's keys; None says nothing.

    Raises:
        UsageError: The file cannot be read, or a key or value is wrong; a line for each.
    """
    said = _read(path) if path is not None else {}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate({**said, **given})
    except ValidationError as error:
        lines = [
            _problem(
                ".".join(map(str, problem["loc"])), problem["type"], problem["msg"], given, path
            )
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise UsageError("\n".join(lines)) from None


def _problem(key: str, kind: str, text: str, given: Mapping[str, object], path: Path | None) -> str:
    where = f"--{key.replace('_', '-')}" if key in given else f"{path}: {key}"
    if kind == "extra_forbidden":
        return f"{where}: there is no such key; keys: {', '.join(sorted(Settings.model_fields))}"
    return f"{where}: expected {text.removeprefix('Input should be ')}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_text("utf-8")
        is_toml = path.suffix.lower() == ".toml"
        parsed: object = tomllib.loads(content) if is_toml else parse_yaml(content)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the configuration {str(path)!r} cannot be read: {error}"
        raise UsageError(msg) from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        msg = f"the configuration {str(path)!r} is no YAML or TOML: {continued(error)}"
        raise UsageError(msg) from error
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        msg = f"the configuration {str(path)!r} holds no keys; expected lines such as 'lake: lake'"
        raise UsageError(msg)
    return {str(key): value for key, value in cast("dict[object, Any]", parsed).items()}
