"""The atom's configuration: one frozen tree, checked whole before anything starts.

Sources, later ones win: defaults, a YAML file, the environment (DATIVE_ATOM_<KEY>), flags. Unknown keys are refused
with the nearest known name. msgspec and not pydantic, because the agent must stay small.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from dative.errors import ConfigError

ENVIRONMENT_PREFIX = "DATIVE_ATOM_"
FILE_BYTES_MAX = 1 << 20
_NOT_SETTINGS = ("CONFIG",)

Seconds = Annotated[float, msgspec.Meta(gt=0, le=7 * 24 * 3600)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything an atom is told. Times in seconds.

    proxy: http://[user:password@]host:port, "" asks the environment (grpc_proxy, https_proxy), "none" dials directly.
    slots: executions at once. warm: workers kept ready while idle, each some 100 MB; 0 starts them on demand.
    warm_for_s: idle workers nobody needed for so long are ended, so that an idle atom stays small; the next planned time
    or execution brings one back. worker_memory_mb: of one worker beyond its start. worker_executions_max: then it is replaced.
    drain_timeout_s: how long running executions may take to end when the agent stops; settled work is never lost.
    execution_stall_s: without a settled batch for so long, the worker is ended and the execution resumed.
    crashes_max: worker deaths in one execution before it has failed. queue_max: executions that may wait.
    bundles_kept: former bundles whose blobs stay on disk. disk_free_min_mb: below it health says so.
    allow_scripts: whether processes may run Python of their own here, shut in a process without files and network.
    allow_commands: absolute paths of programs that processes may run here, with the rights of the atom's own user.
    """

    data_dir: str
    proxy: str = ""
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    warm: Annotated[int, msgspec.Meta(ge=0, le=64)] = 1
    warm_for_s: Seconds = 120.0
    worker_memory_mb: Annotated[int, msgspec.Meta(ge=128, le=1 << 20)] = 2048
    worker_executions_max: Annotated[int, msgspec.Meta(ge=1)] = 200
    drain_timeout_s: Seconds = 600.0
    execution_stall_s: Seconds = 3600.0
    crashes_max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    queue_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    bundles_kept: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    disk_free_min_mb: Annotated[int, msgspec.Meta(ge=0)] = 512
    allow_scripts: bool = False
    allow_commands: list[str] = []
    labels: dict[str, str] = {}
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        if self.warm > self.slots:
            raise ValueError(f"warm {self.warm} must not be above slots {self.slots}; raise slots or lower warm")

        for path in self.allow_commands:
            if not path.startswith("/") or os.path.normpath(path) != path:
                raise ValueError(
                    f"allow_commands: {path} is no absolute path without ..; write it as it is on the disk"
                )

    @property
    def allows(self) -> tuple[str, ...]:
        """What processes may do here beyond their rights, as workers are told."""
        return (*(("scripts",) if self.allow_scripts else ()), *(f"command:{path}" for path in self.allow_commands))

    @property
    def directory(self) -> Path:
        return Path(self.data_dir)


def default_data_dir() -> str:
    """Where an atom lives when nobody says otherwise: the user's data directory."""
    from platformdirs import user_data_path

    return str(user_data_path("dative-atom"))


def load(flags: Mapping[str, Any], *, file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration from all its sources. flags: None means not given. Errors: config.invalid."""
    given: dict[str, Any] = {"data_dir": default_data_dir()}
    path = file or (
        Path(environ[ENVIRONMENT_PREFIX + "CONFIG"]) if environ.get(ENVIRONMENT_PREFIX + "CONFIG") else None
    )
    if path is not None:
        given.update(_checked(_read(path), str(path)))
    given.update(_checked(_from_environment(environ), "environment"))
    given.update({name: value for name, value in flags.items() if value is not None})
    try:
        # Not strict: a number from the environment is a text.
        return msgspec.convert(given, Config, strict=False)
    except msgspec.ValidationError as wrong:
        raise ConfigError(f"configuration: {wrong}") from wrong


def _checked(found: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for name in found:
        if name not in Config.__struct_fields__:
            nearest = difflib.get_close_matches(name, Config.__struct_fields__, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f"; known: {', '.join(Config.__struct_fields__)}"
            raise ConfigError(f"unknown setting {name}{hint}", where=where)
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in environ.items():
        name = key.removeprefix(ENVIRONMENT_PREFIX)
        if name == key or name in _NOT_SETTINGS:
            continue
        found[name.lower()] = _labels(value) if name == "LABELS" else value
    return found


def _labels(text: str) -> dict[str, str]:
    """ "site=hq,rack=7" as a mapping."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"the file is over {FILE_BYTES_MAX} bytes", where=str(path))
        found = YAML(typ="safe", pure=True).load(path.read_text())
    except OSError as unreadable:
        raise ConfigError(f"can not be read: {unreadable.strerror}", where=str(path)) from unreadable
    except (YAMLError, ValueError, RecursionError) as broken:
        raise ConfigError(f"is not YAML: {str(broken).splitlines()[0]}", where=str(path)) from broken
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError("must be a mapping of settings", where=str(path))
    return found
