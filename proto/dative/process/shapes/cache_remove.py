"""cache_remove: takes documents out of a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import FieldName, Name, Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class CacheRemoveSettings(ShapeSettings):
    """Takes what a cache holds under a key out of it, or everything without a key; the document goes on as it came.

    It is gone for this document and those after it. The step stands before every step that reads the cache.
    """

    shape: Literal["cache_remove"] = "cache_remove"
    cache: Name = Field(description="The cache.")
    key: dict[FieldName, Sql] = Field(
        default_factory=dict, max_length=8, description="Key field of the cache: SQL expression. None: everything."
    )

    def whole(self) -> str:
        return "removes documents that came before"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for name, sql in self.key.items():
            check.value(sql, (*here, "key", name), fields)
        if self.key:
            check.caches.keyed(self.cache, self.key, (*here, "key"), check.report)
        check.caches.changed(self.cache, here, check.report)
        return fields
