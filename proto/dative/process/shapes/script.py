"""script: computes fields in Python, shut in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import DataType, parse_type
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import Duration, FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.documents import TypeText
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dative.process.flow import FlowCheck

CODE_MAX = 100_000
MEMORY_MAX = 2048
TIMEOUT_MAX = timedelta(seconds=60)


class ScriptSettings(ShapeSettings):
    """Computes fields in Python, on atoms that allow it.

    The code defines `row(record)`, called for each document, or `batch(records)`, called with all that are together and
    giving as many results. A record is a mapping of the inputs: text, int, float, bool, Decimal, date, datetime, list,
    None. A result is a mapping of the outputs. It runs in an interpreter of its own without files, network, threads or
    other processes; it has json, re, math, decimal, datetime, itertools, functools, collections, statistics, string,
    unicodedata, hashlib, hmac, base64, binascii, random, textwrap and difflib. A document for which `row` raises fails
    alone. What is printed goes nowhere. Row by row: many times slower than a map.
    """

    shape: Literal["script"] = "script"
    code: str = Field(min_length=1, max_length=CODE_MAX, description="Python 3.11: `def row(record): return {…}`.")
    inputs: tuple[FieldName, ...] = Field(min_length=1, max_length=500, description="The fields that it sees.")
    outputs: dict[FieldName, TypeText] = Field(
        min_length=1, max_length=500, description="Field: type. Every one of them carries the classes of all inputs."
    )
    keep: Literal["rest", "none"] = Field("rest", description="Whether the document's other fields go on.")
    timeout: Duration = Field(
        default="10s",
        validate_default=True,
        description="For a batch; the document at which it ends fails. At most 60s.",
    )
    memory: int = Field(256, ge=16, le=MEMORY_MAX, description="MiB that it may have beyond its interpreter.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not timedelta(milliseconds=100) <= self.timeout <= TIMEOUT_MAX:
            raise ValueError("timeout is 100ms to 60s")
        return self

    @property
    def types(self) -> Mapping[str, DataType]:
        return {name: parse_type(text) for name, text in self.outputs.items()}

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        states = []
        for index, name in enumerate(self.inputs):
            check.known(name, fields, (*here, "inputs", index))
            states.append(check.reads(name, fields) or FieldState())
        made = {}
        for name, kind in self.types.items():
            if name.startswith("_"):
                check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
            # Nobody knows what the code does with a value: every output is as protected as all inputs together.
            made[name] = FieldState(
                kind,
                frozenset().union(*(state.sources for state in states)),
                frozenset().union(*(state.classes for state in states)),
                functions=frozenset(("script",)).union(*(state.functions for state in states)),
                masks=frozenset().union(*(state.masks for state in states)),
                carried=frozenset().union(*(state.carried for state in states)),
            )
        if self.keep == "none":
            return Fields(made)
        return replace(fields, fields={**fields.fields, **made})
