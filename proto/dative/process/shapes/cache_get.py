"""cache_get: joins what a cache holds to each document."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import ANY
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path, nearest
from dative.process.scalars import FieldName, Name, Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

MATCHES_MAX = 10_000


class CacheGetSettings(ShapeSettings):
    """Joins what a cache holds under a key to each document, once a batch.

    It stands after every step that fills or empties the cache. `take: all` gives one field with the list of all matches,
    at most 10,000, in the order in which they were kept.
    """

    shape: Literal["cache_get"] = "cache_get"
    cache: Name = Field(description="The cache.")
    key: dict[FieldName, Sql] = Field(
        min_length=1,
        max_length=8,
        description="Key field of the cache: SQL expression over this document, of its type.",
    )
    fields: dict[FieldName, FieldName] = Field(
        min_length=1, max_length=200, description="Field that this document gets: field of the cache."
    )
    take: Literal["first", "last", "all"] = Field("last", description="Which of several matches.")
    into: FieldName | None = Field(None, description="With `take: all`: the field that gets the list.")
    miss: Literal["error", "null", "filter"] = Field(
        "error",
        description="A document for which nothing is found, or whose key is NULL: it fails, gets NULL, or ends as filtered.",
    )

    @model_validator(mode="after")
    def _lists_have_a_field(self) -> Self:
        if (self.take == "all") != (self.into is not None):
            raise ValueError("`into` names the field of the list, so it belongs to `take: all`, and that needs it")
        return self

    def whole(self) -> str:
        return "finds documents that came before"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for name, sql in self.key.items():
            check.value(sql, (*here, "key", name), fields)
        held = check.caches.found(self.cache, (*here, "cache"), check.report)
        check.caches.keyed(self.cache, self.key, (*here, "key"), check.report)
        made: dict[str, FieldState] = {}
        for name, wanted in self.fields.items():
            place = (*here, "fields", name)
            if name.startswith("_"):
                check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', place)
            if held is not None and wanted not in held:
                message = f'cache "{self.cache}" keeps no "{wanted}"{nearest(wanted, held)}'
                check.report.value(codes.UNKNOWN_FIELD, message, place)
            made[name] = (held or {}).get(wanted, FieldState())
        if self.into is not None:
            made = {self.into: self._listed(list(made.values()))}
        return replace(fields, fields={**fields.fields, **made})

    def _listed(self, states: list[FieldState]) -> FieldState:
        """The field of a list: it carries whatever class any of its values carries."""
        first = replace(states[0], type=ANY)
        for state in states[1:]:
            first = replace(first, sources=first.sources | state.sources, classes=first.classes | state.classes)
        return first
