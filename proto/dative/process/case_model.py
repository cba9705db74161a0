"""What a test file of a process says: documents in, faults and kills, and what must come of them.

It lies beside the process in `tests/*.yaml`; `dative process test` runs it in the engine, offline. Read, and held to its
process, in `cases`. A fraction in a record is the text that was written, never a float.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, StringConstraints, Tag, model_validator

from dative.process.scalars import Duration, FieldName, Name, ProcessName, StepPath
from dative.process.shapes import Settings

Record = dict[FieldName, JsonValue]
Count = Annotated[int, Field(ge=0)]
CASES_MAX = 1000
FaultKind = Literal[
    "timeout", "rate_limited", "unavailable", "conflict", "unknown", "reject", "commit_lost", "commit_undone"
]
FaultKinds = {
    "timeout": "no answer, and nothing was applied",
    "rate_limited": "429, nothing was applied; `retry_after` says how long the system asks to wait",
    "unavailable": "503, nothing was applied; may have a `retry_after`",
    "conflict": "a lock or a deadlock: all of the batch was undone",
    "unknown": "sent, and the answer is lost: nobody can tell what was applied",
    "reject": "the documents of `where` are refused, their neighbours are applied",
    "commit_lost": "the target commits, and the answer to the commit is lost",
    "commit_undone": "the connection breaks in the commit, and nothing was committed",
}


class ExpectedDocuments(Settings):
    """Documents of a step, when a list of them in their order is not what is meant. Any of the three."""

    exactly: tuple[Record, ...] | None = Field(
        default=None, description="These, in the order of the input, and no field that is not named."
    )
    includes: tuple[Record, ...] | None = Field(
        default=None, description="Each of these is among them, in any order; only the named fields are compared."
    )
    count: Count | None = Field(default=None, description="So many.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.exactly is None and self.includes is None and self.count is None:
            raise ValueError("give exactly, includes or count")
        return self

    def records(self) -> tuple[Record, ...]:
        return (*(self.exactly or ()), *(self.includes or ()))


def _form(value: Any) -> str:
    return "some" if isinstance(value, dict | ExpectedDocuments) else "rows"


Documents = Annotated[
    Annotated[tuple[Record, ...], Tag("rows")] | Annotated[ExpectedDocuments, Tag("some")], Discriminator(_form)
]
"""A list: these documents, in the order of the input; only the fields that are named are compared."""


class ExpectedDeadLetter(Settings):
    """One document that must be parked: the code of its error, and what else is named."""

    code: str = Field(description="Error code, expression.rate_missing.")
    field: FieldName | None = Field(default=None, description="Target field; left out, it is not compared.")
    step: StepPath | None = Field(default=None, description="The step that failed; left out, it is not compared.")
    document: Record | None = Field(default=None, description="Fields of the document as the source gave it.")


class ExpectedCounts(Settings):
    """How many documents ended how; what is left out is not compared."""

    read: Count | None = None
    written: Count | None = None
    filtered: Count | None = None
    returned: Count | None = None
    dead_lettered: Count | None = None


class Expectation(Settings):
    """What must have become of the input. What is left out is not looked at, but the accounts must always add up."""

    written: dict[StepPath, Documents] = Field(
        default_factory=dict,
        description="Target step: its documents in the order of the input. Only the fields that are named are compared.",
    )
    steps: dict[StepPath, Documents] = Field(
        default_factory=dict, description="Any step: the documents after it, as `written`."
    )
    filtered: Count | None = Field(default=None, description="Documents that were filtered.")
    dead_lettered: tuple[ExpectedDeadLetter, ...] | None = Field(
        default=None, description="Documents that were dead-lettered, in the order of the input."
    )
    counts: ExpectedCounts | None = Field(default=None, description="How many documents ended how.")
    failure: str | None = Field(
        default=None, description="Code with which the execution as a whole must fail; without it, it must not."
    )
    waited: Duration | None = Field(
        default=None, description="The virtual clock must have been waited on for at least this long, in all pauses."
    )


class Fault(Settings):
    """Something that goes wrong on purpose, at a step's target or at a connection."""

    step: StepPath | None = Field(default=None, description="A step that writes.")
    connection: Name | None = Field(default=None, description="A connection: its source's reads, or its targets.")
    kind: FaultKind = Field(description="; ".join(f"`{kind}`: {meaning}" for kind, meaning in FaultKinds.items()) + ".")
    call: Annotated[int, Field(ge=1)] = Field(default=1, description="The first call that goes wrong, counted from 1.")
    times: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="How many calls in a row go wrong.")
    retry_after: Duration | None = Field(default=None, description="How long the system asks to wait.")
    where: dict[FieldName, tuple[JsonValue, ...]] = Field(
        default_factory=dict, description="`reject`: documents whose field has one of the values; every call."
    )
    code: str = Field(default="engine.rejected", description="`reject`: the code of the refusal.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.step is None) == (self.connection is None):
            raise ValueError("give either step or connection")
        if (self.kind == "reject") != bool(self.where):
            raise ValueError("where belongs to kind reject, and reject needs it")
        if self.step is None and self.kind in ("reject", "commit_lost", "commit_undone", "unknown"):
            raise ValueError(f"{self.kind} happens at a step that writes; give step")
        if self.retry_after is not None and self.kind not in ("rate_limited", "unavailable"):
            raise ValueError("retry_after belongs to rate_limited and unavailable")
        return self


class Case(Settings):
    """One test: documents as the source would deliver them, and what must come of them."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="The promise it keeps.")
    input: tuple[Record, ...] | None = Field(
        default=None, min_length=1, max_length=10_000, description="Records of the source, in order."
    )
    input_file: str | None = Field(
        default=None, min_length=1, description="Sample file beside the test: CSV with a header line, or JSON lines."
    )
    recording: Name | None = Field(
        default=None, description="Recorded traffic of the source's system (`dative-atom test --record NAME`)."
    )
    tables: dict[Name, tuple[dict[str, JsonValue], ...]] = Field(
        default_factory=dict, description="Rows of tables, instead of those in the tables' files."
    )
    parameters: dict[Name, str] = Field(default_factory=dict, description="Parameters, instead of their defaults.")
    now: AwareDatetime | None = Field(
        default=None,
        description="Where the virtual clock stands when the execution starts; default 2024-01-01T00:00:00Z, or the "
        "moment of the recording.",
    )
    batch_rows: Annotated[int, Field(ge=1, le=100_000)] | None = Field(default=None, description="Documents a batch.")
    faults: tuple[Fault, ...] = Field(default=(), max_length=100, description="What goes wrong.")
    kill: Literal["every-boundary"] | None = Field(
        default=None,
        description="Run it once for each boundary that the execution passes, kill the worker there and resume: it must "
        "end the same, with each effect once.",
    )
    expect: Expectation = Field(default_factory=Expectation, description="What must come of it.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = [name for name in ("input", "input_file", "recording") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of input, input_file and recording; here is {' and '.join(given) or 'none'}")
        if self.kill and self.recording:
            raise ValueError("kill needs input or input_file: recorded traffic is replayed once")
        if self.kill and any(fault.kind != "reject" for fault in self.faults):
            raise ValueError("kill goes together with faults of kind reject only")
        return self


class ProcessTest(Settings):
    """A file of tests of one process."""

    api_version: Literal["dative/v1"] = Field(alias="apiVersion")
    kind: Literal["ProcessTest"]
    process: ProcessName | None = Field(
        default=None, description="The process that is tested; needed where several lie in one folder."
    )
    fields: dict[FieldName, str] = Field(
        default_factory=dict, description="Type of source fields that are not text: {AnnualRevenue: decimal(18,2)}."
    )
    cases: tuple[Case, ...] = Field(min_length=1, max_length=CASES_MAX, description="The tests.")
