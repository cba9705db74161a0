"""The controller's configuration: one frozen tree, checked whole before anything starts.

Sources, later ones win: defaults, a YAML file, the environment (DATIVE_CONTROLLER_<KEY>, nested keys with two
underscores), flags. Unknown keys are refused with the nearest known name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from dative.errors import ConfigError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

ENVIRONMENT_PREFIX = "DATIVE_CONTROLLER_"
FILE_BYTES_MAX = 1 << 20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OtelConfig(_Part):
    """Where spans are forwarded besides the controller's own store."""

    endpoint: str = Field(description="http(s)://host:port; for grpc host:port, http:// in front means without TLS")
    headers: dict[str, str] = Field(default_factory=dict)
    protocol: Literal["grpc", "http"] = "grpc"
    queue_batches: int = Field(512, ge=1, description="batches waiting; the newest are dropped beyond, and counted")
    timeout_s: float = Field(10.0, gt=0)


class RetentionConfig(_Part):
    """How long what is reported is kept."""

    spans: timedelta = timedelta(days=7)
    spans_rows_max: int = Field(2_000_000, ge=1, description="about 1 kB a row: 2 GB")
    documents: timedelta = timedelta(days=30)
    executions: timedelta = timedelta(days=90)


class LimitsConfig(_Part):
    """Token buckets; what is over is refused with rpc.rate_limited and the seconds to wait."""

    enrol_per_s: float = Field(1.0, gt=0, description="per address")
    enrol_burst: int = Field(20, ge=1, description="a site's atoms that are installed together, behind one address")
    login_failures_per_min: float = Field(5.0, gt=0, description="per account and address")
    api_per_s: float = Field(50.0, gt=0, description="per account")
    api_burst: int = Field(100, ge=1)
    connections_max: int = Field(20_000, ge=2, description="twice the fleet")


class Config(_Part):
    """Everything a controller is told."""

    data_dir: Path
    listen_public: str = Field("0.0.0.0:7443", description="enrolment, CLI and console")
    listen_atoms: str = Field("0.0.0.0:7444", description="atoms, mutual TLS")
    host_names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1"), description="names and addresses in the certificate"
    )
    atom_endpoint: str = Field("", description="host:port that atoms are told; default: first host name, atoms' port")
    database: str = Field("", description="postgresql://…; default: SQLite in data_dir")
    blobs_dir: Path | None = Field(
        None, description="shared by all controllers of one database; default data_dir/blobs"
    )
    atom_certificate_lifetime: timedelta = timedelta(hours=24)
    heartbeat: timedelta = Field(timedelta(seconds=15), description="lower bound; stretched when the fleet is large")
    access_token_lifetime: timedelta = timedelta(minutes=15)
    refresh_token_lifetime: timedelta = timedelta(hours=12)
    bootstrap_token_lifetime: timedelta = timedelta(hours=1)
    command_timeout: timedelta = timedelta(seconds=30)
    poll: timedelta = Field(timedelta(seconds=5), description="the safety net under notifications")
    stop_grace: timedelta = timedelta(seconds=5)
    otel: OtelConfig | None = None
    retention: RetentionConfig = RetentionConfig()
    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if not timedelta(seconds=1) <= self.heartbeat <= timedelta(minutes=5):
            raise ValueError(f"heartbeat {self.heartbeat} must be 1 s to 5 min")
        if not self.heartbeat * 4 < self.atom_certificate_lifetime <= timedelta(days=14):
            raise ValueError(
                f"heartbeat {self.heartbeat} × 4 < atom_certificate_lifetime {self.atom_certificate_lifetime}"
                " <= 14 days must hold"
            )
        if not self.access_token_lifetime < self.refresh_token_lifetime:
            raise ValueError("access_token_lifetime must be shorter than refresh_token_lifetime")
        for name in ("listen_public", "listen_atoms"):
            host, _, port = getattr(self, name).rpartition(":")
            if not host or not port.isdigit() or int(port) > 65535:
                raise ValueError(f"{name} must be host:port, not {getattr(self, name)!r}")
        if self.database and not self.database.startswith(("postgresql://", "sqlite:///")):
            raise ValueError("database must be postgresql://… or sqlite:///path")
        return self

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_dir / 'dative.db'}"

    @property
    def blobs(self) -> Path:
        return self.blobs_dir or self.data_dir / "blobs"


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Config:
    """The configuration from all sources. environment: default os.environ. Errors: config.invalid."""
    values: dict[str, Any] = _from_file(file) if file else {}
    for key, text in (os.environ if environment is None else environment).items():
        if key.startswith(ENVIRONMENT_PREFIX):
            _put(values, key.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), _typed(text))
    for name, value in (flags or {}).items():
        if value is not None:
            values[name] = value
    _refuse_unknown(values, Config, "")
    try:
        return Config.model_validate(values)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"controller: {where + ': ' if where else ''}{first['msg']}") from wrong


def _from_file(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{file} is larger than {FILE_BYTES_MAX} bytes")
        loaded = YAML(typ="safe").load(file.read_text())
    except (OSError, YAMLError, UnicodeDecodeError) as unreadable:
        raise ConfigError(f"{file} can not be read as YAML: {unreadable}") from unreadable
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{file} must hold a mapping of settings")
    return loaded


def _typed(text: str) -> object:
    """Lists come from the environment with commas, because host names hold none."""
    return [part.strip() for part in text.split(",")] if "," in text else text


def _put(values: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = [value] if path[-1] == "host_names" and isinstance(value, str) else value


def _refuse_unknown(values: Mapping[str, Any], model: type[BaseModel], prefix: str) -> None:
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:
            near = difflib.get_close_matches(str(name), model.model_fields, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known: {', '.join(model.model_fields)}"
            raise ConfigError(f"controller: unknown setting {prefix}{name}{hint}")
        inner = next(
            (
                part
                for part in (field.annotation, *get_args(field.annotation))
                if isinstance(part, type) and issubclass(part, BaseModel)
            ),
            None,
        )
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(value, inner, f"{prefix}{name}.")
