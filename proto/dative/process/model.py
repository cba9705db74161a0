"""A process as data: metadata, triggers, connections, source, steps, tables.

Frozen pydantic models; `Process.model_validate_json` reads what `canonical_process` wrote. What a process means is
checked in `validate`, its YAML form is read in `load` and `build`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from dative.process.findings import Path
from dative.process.flow_control import FlowControl
from dative.process.identifiers import IdentifierKind
from dative.process.scalars import (
    Duration,
    FieldName,
    FunctionName,
    Name,
    ParameterName,
    ProcessName,
    Sql,
    TrackedKey,
    TrackedText,
    TypeText,
    parse_tracked,
)
from dative.process.shapes import OperationSettings, Settings, Step, walk
from dative.process.tables import RatesTable, Table

API_VERSION = "dative/v1"
FieldClass = Literal["phi", "pii"]
ClassKey = Literal["phi", "pii", "none"]
"""`none`: looked at, and not protected; it silences the warning about a name that looks like an identifier."""


class Metadata(Settings):
    """What the process is called, and for whom."""

    name: ProcessName = Field(description="Unique in an environment: lower case, digits, . _ and -.")
    labels: dict[str, str] = Field(default_factory=dict, description="Free words to search and route alerts by.")


class ScheduleTrigger(Settings):
    """Starts an execution at planned times; each planned time starts at most one."""

    kind: Literal["schedule"] = "schedule"
    cron: str = Field(description="Five fields: minute, hour, day of month, month, day of week.")
    timezone: str = Field(default="UTC", description="IANA name; across its clock changes no planned time is lost.")
    overlap: Literal["skip", "queue"] = Field(default="skip", description="What happens while the last one still runs.")
    missed: Literal["run-once", "skip"] = Field(
        default="run-once", description="What happens to planned times that passed while the atom was down."
    )
    jitter: Duration = Field(default="0ms", validate_default=True, description="Spread the start by up to this much.")


class ChainSettings(Settings):
    """A function of the process' own: an expression over its parameters, put in place of every call."""

    parameters: dict[ParameterName, TypeText] = Field(
        default_factory=dict, max_length=20, description="Parameter: its type, `text`, `decimal(18,2)`, `any`."
    )
    expression: Sql = Field(description="SQL over the parameters; it sees no field, and may call other functions.")
    description: str = Field(default="", description="What it gives.")


class Parameter(Settings):
    """A value that an environment may override as <process>.<parameter>; param('name') and :name read it."""

    default: str | None = Field(default=None, description="Without one, every environment must set it.")
    description: str = Field(default="", description="What it is for.")


class ClassifiedField(Settings):
    """A protected field, and which of HIPAA's identifiers it holds."""

    field: FieldName = Field(description="A source field, a nested one, or a pattern with * and ?.")
    identifier: IdentifierKind = Field(description="For suggestions: see the table of identifiers.")


def _form_of(value: object) -> str:
    return "name" if isinstance(value, str) else "field"


Classified = Annotated[
    Annotated[FieldName, Tag("name")] | Annotated[ClassifiedField, Tag("field")], Discriminator(_form_of)
]


class Spec(Settings):
    """What the process does."""

    triggers: tuple[ScheduleTrigger, ...] = Field(default=(), max_length=10, description="When it starts by itself.")
    connections: dict[Name, str] = Field(
        default_factory=dict, description="Logical name: connector. The environment binds each name to a system."
    )
    parameters: dict[Name, Parameter] = Field(default_factory=dict, description="Values that environments override.")
    tables: dict[Name, Table] = Field(
        default_factory=dict, description="Rates, cross-references, lookups and sequences."
    )
    functions: dict[FunctionName, ChainSettings] = Field(
        default_factory=dict, max_length=100, description="Functions of the process' own, for its expressions."
    )
    source: Step = Field(description="The operation that reads the documents.")
    classify: dict[ClassKey, tuple[Classified, ...]] = Field(
        default_factory=dict,
        description="Which source fields are protected, by name, nested name (patient.ssn) or pattern (*__ssn); the class "
        "follows the value. `none`: looked at, and not protected.",
    )
    track: tuple[TrackedText, ...] = Field(
        default=(),
        max_length=20,
        description="Source fields by which a document is found again; a classified one as `hash(Field)`.",
    )
    batch_rows: int | None = Field(
        default=None, ge=1, le=100_000, description="Documents a batch; the engine's choice."
    )
    flow_control: FlowControl | None = Field(
        default=None,
        description="Which documents travel and settle together; lanes. Left out: as the source gives them.",
    )
    steps: tuple[Step, ...] = Field(default=(), description="What happens to the documents, in this order.")

    @property
    def tracked_keys(self) -> tuple[TrackedKey, ...]:
        """What `track` names, read."""
        return tuple(parse_tracked(text) for text in self.track)

    @property
    def rates_table(self) -> str | None:
        """The one table of kind rates, which currency() reads unless told otherwise; None when there is not one."""
        names = [name for name, table in self.tables.items() if isinstance(table, RatesTable)]
        return names[0] if len(names) == 1 else None


class Process(Settings):
    """One process: what a file in the process language holds, and what a bundle carries."""

    api_version: Literal["dative/v1"] = Field(alias="apiVersion")
    kind: Literal["Process"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        return self.metadata.name

    def steps(self) -> Iterator[tuple[Step, Path]]:
        """Every step with its place in the document: the source first, then parents before their arms."""
        yield self.spec.source, ("spec", "source")
        yield from walk(self.spec.steps, ("spec", "steps"))

    def step(self, step_id: str) -> Step:
        """The step of that id. Raises KeyError."""
        for step, _ in self.steps():
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def operations(self) -> Iterator[tuple[Step, OperationSettings, Path]]:
        """Every operation of every step, the source first."""
        for step, path in self.steps():
            if isinstance(step.settings, OperationSettings):
                yield step, step.settings, path

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        # `validate` names both places; here it keeps a bundle made by other hands from running.
        ids = [step.id for step, _ in self.steps()]
        if len(ids) != len(set(ids)):
            raise ValueError("two steps have the same id")
        return self
