"""The tables of a process: rates, cross-references, lookups, sequences; where their rows come from in an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dative.process.scalars import EnvironmentName, Name, ParameterName
from dative.process.shapes import Settings

COLUMNS_MAX = 20
KEYS_BIND = "keys"
"""`:keys` in the sql of a lookup: the different keys of a batch."""


class FileTable(Settings):
    """A table whose rows come from CSV files beside the process."""

    file: str | None = Field(default=None, description="CSV beside the process; packed into the bundle.")
    overrides: dict[EnvironmentName, str] = Field(
        default_factory=dict,
        max_length=50,
        description="Environment: the CSV that stands in for `file` there; packed too.",
    )

    def files(self) -> Iterator[tuple[str, str]]:
        """(environment, file) of all that is packed; the environment "" is every one that has none of its own."""
        if self.file is not None:
            yield "", self.file
        yield from self.overrides.items()


class SourcedTable(FileTable):
    """A table whose rows come from CSV files, or from a system that the environment binds."""

    connection: Name | None = Field(
        default=None, description="Read the rows with `sql` from this connection instead: the environment binds it."
    )
    sql: str | None = Field(default=None, min_length=1, max_length=20_000, description="SELECT that gives the columns.")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.connection is None) != (self.sql is None):
            raise ValueError("connection and sql go together")
        if self.connection is not None and (self.file or self.overrides):
            raise ValueError("the rows come from files or from a connection, not from both")
        return self


class RatesTable(SourcedTable):
    """Dated exchange rates for currency(): the columns from, to, date and rate.

    A rate holds from its date on until the next date of the same pair. A missing pair is an error, never 0 or 1.
    """

    kind: Literal["rates"] = "rates"


class LookupTable(SourcedTable):
    """Rows that lookup() finds by one or several columns. A key stands once; of several rows the last counts.

    With a connection, the rows are read once, at most 100,000 of them; a `sql` with `:keys` in it (`WHERE code IN
    (:keys)`) is asked once a batch instead, for the different keys of that batch, and lookups are by one column then.
    """

    kind: Literal["lookup"] = "lookup"
    columns: tuple[ParameterName, ...] = Field(
        min_length=2, max_length=COLUMNS_MAX, description="The columns, keys among them, as the rows name them."
    )

    @property
    def keyed(self) -> bool:
        """Asked once a batch."""
        return self.sql is not None and f":{KEYS_BIND}" in self.sql


class XrefTable(FileTable):
    """Which record of one system is which record of another: read by xref(), written by `link`."""

    kind: Literal["xref"] = "xref"
    columns: tuple[Name, ...] = Field(min_length=2, max_length=COLUMNS_MAX, description="One column a system.")
    unique: Literal["both", "first", "none"] = Field(
        default="both",
        description="`both`: a value stands once in each column. `first`: in the first column only. `none`: anywhere; "
        "a lookup gives the row that was written last.",
    )
    match: Literal["exact", "wildcard", "regex"] = Field(
        default="exact",
        description="How keys are compared. `wildcard`: * and ? in a row's value. `regex`: the whole key fits it (RE2). Equal "
        "texts come first, then the rows with more literal characters, then those that stand first.",
    )
    conflict: Literal["replace", "error"] = Field(
        default="replace",
        description="A new row that meets another in a unique column. `replace`: it takes its place, and an event says so. "
        "`error`: the document fails with engine.link_conflict, and the older row stays.",
    )
    file: str | None = Field(default=None, description="CSV with the rows to begin with; its header names the columns.")

    @model_validator(mode="after")
    def _patterns_are_kept(self) -> Self:
        if self.match != "exact" and self.unique == "both":
            raise ValueError(f"match: {self.match} goes with unique: first or none: several patterns name one value")
        return self


class SequenceTable(Settings):
    """Numbers for sequence(), one after the other, in each environment apart. Shared by processes that name it alike."""

    kind: Literal["sequence"] = "sequence"
    start: int = Field(default=1, ge=0, le=10**15, description="The first number.")
    step: int = Field(default=1, ge=1, le=1000, description="How far it is to the next.")


Table = Annotated[RatesTable | XrefTable | LookupTable | SequenceTable, Field(discriminator="kind")]
