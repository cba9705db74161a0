"""What a connector says about itself: settings, secrets, operations, each field described.

A connector's `spec.py` is the one place where a setting or an option is written down: documentation, the console's form
and the validation are made from it (`catalog.py`), and the connector reads its options through the same models. Only
pydantic is imported here, because the catalog must not need any system's library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from dative.errors.base import ConfigError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str | float) -> float:
    """Seconds of "250ms", "30s", "5m", "2h" or "1d"; a bare number is seconds. ValueError otherwise."""
    if isinstance(text, int | float):
        return float(text)
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration; write a number and ms, s, m, h or d, as in 5m")
    return float(found[1]) * _SECONDS[found[2]]


Duration = Annotated[
    float,
    BeforeValidator(duration_s),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["5m"]}),
]
"""Seconds in code, "5m" in YAML."""


class Settings(BaseModel):
    """Base of settings and options: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, str_strip_whitespace=True)


@dataclass(frozen=True)
class OperationSpec:
    """One operation. results: the result.* columns a target gives back, name -> meaning.

    idempotent: writing the same batch again leaves the target as it was after the first time.
    transactional: a batch becomes visible at its commit, together with its mark (`base.Writer.transactional`).
    divisible: its readers are `base.Divisible`.
    """

    kind: Literal["source", "target"]
    doc: str
    options: type[Settings]
    idempotent: bool
    results: Mapping[str, str] = field(default_factory=dict)
    transactional: bool = False
    divisible: bool = False


@dataclass(frozen=True)
class ConnectorSpec:
    """One connector. secrets: name -> meaning; required_secrets must be bound."""

    doc: str
    settings: type[Settings]
    secrets: Mapping[str, str]
    operations: Mapping[str, OperationSpec]
    required_secrets: tuple[str, ...] = ()


Model = TypeVar("Model", bound=Settings)


def parsed(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """The checked settings or options; ConfigError naming every field that does not hold (never its value)."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or where}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ConfigError(f"{where}: {'; '.join(problems)}", where=where) from None


def describe(doc: str, **more: Any) -> Any:
    """A field's default and constraints with its description: `describe("…", default=5)`."""
    return Field(description=doc, **more)
