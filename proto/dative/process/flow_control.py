"""flow_control: which of the source's documents travel together, and whether several lanes do at the same time."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dative.process.scalars import FieldName
from dative.process.shapes.base import Settings

UNIT_ROWS_MAX = 1_000_000
LANES_MAX = 16
PARTS_MAX = 1_000


class Partitions(Settings):
    """Lanes that run at the same time; documents of equal values stay in one lane, in their order."""

    count: int = Field(ge=2, le=LANES_MAX, description="How many lanes.")
    by: tuple[FieldName, ...] = Field(
        min_length=1, max_length=8, description="Source fields whose values choose the lane."
    )


class Spread(Settings):
    """Divides what an execution reads into parts, which run at the same time wherever there is room, each with an end of its own.

    The source chooses where it divides (keys, Ids, files), so that parts are about equal; little is left whole. Documents
    of different parts have no order among each other. The position moves when all parts have come to their end. Where
    one failed, the next execution of the process does first what is left of it, and what other parts did is not repeated.
    """

    parts: int = Field(ge=2, le=PARTS_MAX, description="The most parts; a few for each worker that may take them.")


class FlowControl(Settings):
    """Which documents of the source are one unit: they settle together, and a position is saved after whole units only.

    What gathers documents (combine, find_changes, sums) gathers those of one unit. Without any of these, a unit is
    whatever the source gives at once, at most `batch_rows`. It is that of the process that an execution runs; a called
    process works on what its caller brings.
    """

    unit: Literal["one_by_one", "all"] | None = Field(
        default=None, description="`one_by_one`: each document for itself. `all`: everything that one execution reads."
    )
    rows: int | None = Field(
        default=None, ge=1, le=100_000, description="So many documents a unit; the last one may have fewer."
    )
    by: tuple[FieldName, ...] = Field(
        default=(),
        max_length=8,
        description="Source fields: documents that follow one another with equal values stay in one unit. Let the source "
        "order by them; a value that comes back later begins anew.",
    )
    rows_max: int = Field(
        default=100_000,
        ge=1,
        le=UNIT_ROWS_MAX,
        description="The most documents that a unit of `all` or `by` may have; one more ends the execution.",
    )
    partitions: Partitions | None = Field(
        default=None,
        description="Lanes up to the first step that writes into a transaction: such a target takes the unit whole. "
        "A unit's documents in one lane are what gathers there.",
    )

    spread: Spread | None = Field(
        default=None,
        description="Divide what is read into parts that several workers, and several atoms of a molecule, work on. "
        "This version checks it and reads undivided; a warning says so.",
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if sum((self.unit is not None, self.rows is not None, bool(self.by))) > 1:
            raise ValueError("a unit is one of: unit, rows, by")
        return self
