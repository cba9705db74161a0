"""cache_add: keeps a copy of each document for those after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Name
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

ROWS_MAX = 1_000_000
MEBIBYTES_MAX = 1_024


class CacheAddSettings(ShapeSettings):
    """Keeps these fields of each document in a cache of the execution; the document goes on as it came.

    `cache_get` and `cache()` find it for this document and those after it, however documents are cut into batches. What
    is kept settles with its batch, outlives a kill, and is dropped at the end of the execution. A document of which a key
    field is NULL is not kept. A cache that would grow beyond its bounds ends the execution.
    """

    shape: Literal["cache_add"] = "cache_add"
    cache: Name = Field(description="The cache.")
    key: tuple[FieldName, ...] = Field(min_length=1, max_length=8, description="Fields by which it is found.")
    fields: tuple[FieldName, ...] = Field(
        default=(), max_length=200, description="Fields that are kept beside the key."
    )
    rows_max: int = Field(100_000, ge=1, le=ROWS_MAX, description="The most documents that it holds.")
    mebibytes_max: int = Field(64, ge=1, le=MEBIBYTES_MAX, description="The most memory that they take.")

    @property
    def kept(self) -> tuple[str, ...]:
        """Every field that is kept, each once."""
        return tuple(dict.fromkeys((*self.key, *self.fields)))

    def whole(self) -> str:
        return "keeps documents for those after them"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for place, names in (("key", self.key), ("fields", self.fields)):
            for index, name in enumerate(names):
                check.known(name, fields, (*here, place, index))
        states = {name: fields.reads(name) or FieldState() for name in self.kept}
        check.caches.filled(self.cache, self.key, states, here, check.report)
        return fields
