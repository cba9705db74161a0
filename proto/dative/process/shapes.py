"""The settings of every shape, and the step that carries them.

One frozen model a shape. The field descriptions are the reference page, the JSON Schema and the console's forms. What a
step does is not known here: that is one file per shape in the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from dative.process.findings import Path
from dative.process.scalars import Duration, FieldName, MaskText, Name, Sql

STEPS_MAX = 250
ErrorClass = Literal["timeout", "rate_limited", "unavailable", "conflict"]


class Settings(BaseModel):
    """The base of every model of the language: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


class MapSettings(Settings):
    """Makes a new document out of the fields of the one that comes."""

    shape: Literal["map"] = "map"
    fields: dict[FieldName, Sql] = Field(
        min_length=1, description="Target field: SQL expression over the source fields."
    )
    keep: Literal["none", "rest"] = Field(
        "none",
        description="`none`: only the mapped fields go on. `rest`: source fields that no expression replaces, too.",
    )


class DecideSettings(Settings):
    """Sends each document through one of two arms; both come together again after it, in no promised order."""

    shape: Literal["decide"] = "decide"
    condition: Sql = Field(description="A condition; NULL counts as false.")
    then: tuple[Step, ...] = Field(default=(), description="Steps of the documents for which it is true.")
    otherwise: tuple[Step, ...] = Field(default=(), alias="else", description="Steps of the others.")


class MaskSettings(Settings):
    """Makes classified values unreadable before they go on."""

    shape: Literal["mask"] = "mask"
    fields: dict[FieldName, MaskText] = Field(min_length=1, description="Field: mask.")


class TrySettings(Settings):
    """Catches the documents that fail in its steps; their neighbours go on."""

    shape: Literal["try"] = "try"
    steps: tuple[Step, ...] = Field(min_length=1, description="Steps whose failed documents are caught.")
    catch: tuple[Step, ...] = Field(
        default=(),
        description="Steps of the failed documents: as they came to the `try`, with _error_code, _error_reason, "
        "_error_field and _error_step. Without any, they are dead-lettered.",
    )


class DeadLetterSettings(Settings):
    """Parks the documents that reach it for a person, sealed, with reason, step and history."""

    shape: Literal["dead_letter"] = "dead_letter"
    queue: Name = Field(description="The queue; usually the process' name.")
    keep: Duration = Field(
        default="30d", validate_default=True, description="How long a document waits for a person before it expires."
    )


class StopSettings(Settings):
    """Ends the documents that reach it; they count as filtered."""

    shape: Literal["stop"] = "stop"


class OperationSettings(Settings):
    """Reads from or writes to a system. Its options are those of the connector's operation in the catalog."""

    shape: Literal["operation"] = "operation"
    connector: str
    operation: str
    connection: Name
    options: dict[str, JsonValue] = Field(default_factory=dict)


class UnknownSettings(Settings):
    """A step that could not be read. Exists only in a draft, so that its neighbours can be checked; runs nowhere."""

    shape: Literal["unknown"] = "unknown"


class BackoffSettings(Settings):
    """How the pause grows between attempts, with full jitter."""

    first: Duration = Field(default="2s", validate_default=True, description="Pause after the first failure.")
    factor: Annotated[Decimal, Field(ge=1, le=10)] = Field(default=Decimal(2), description="Growth per attempt.")
    max: Duration = Field(default="5m", validate_default=True, description="The longest pause.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.first <= self.max:
            raise ValueError("backoff: first must not be longer than max")
        return self


class RetrySettings(Settings):
    """Tries again what failed for a reason that may pass. Each class of error only as far as the write is safe."""

    on: tuple[ErrorClass, ...] = Field(min_length=1, description="Classes of errors that are tried again.")
    max_attempts: int = Field(default=5, ge=1, le=20, description="All attempts, the first one included.")
    backoff: BackoffSettings = Field(default_factory=BackoffSettings, description="The pauses between them.")


class LinkSettings(Settings):
    """Writes a cross-reference row for every document that was written."""

    xref: Name = Field(description="A table of kind xref.")
    columns: dict[Name, Sql] = Field(
        min_length=2, description="Column: expression over the document and `result.*` of the operation."
    )


class VerifySettings(Settings):
    """How a write whose answer was lost is looked up at the target before anything is repeated."""

    key: tuple[FieldName, ...] = Field(min_length=1, description="Fields that find the document at the target.")
    within: Duration = Field(
        default="2m", validate_default=True, description="How long the target may take to show it."
    )


StepSettings = Annotated[
    MapSettings | DecideSettings | MaskSettings | TrySettings | DeadLetterSettings | StopSettings | OperationSettings,
    Field(discriminator="shape"),
]

VERBS: dict[str, type[Settings]] = {
    "map": MapSettings,
    "decide": DecideSettings,
    "mask": MaskSettings,
    "try": TrySettings,
    "dead_letter": DeadLetterSettings,
    "stop": StopSettings,
}
"""Every verb that is no operation, in the order of the reference."""

MODIFIERS: dict[str, frozenset[str]] = {
    "retry": frozenset(("operation", "try")),
    "timeout": frozenset(("operation", "try")),
    "link": frozenset(("operation",)),
    "verify": frozenset(("operation",)),
    "discloses": frozenset(("operation",)),
}
"""Which shapes a modifier has a meaning at."""


class Step(Settings):
    """One step: an id, one verb with its settings, and modifiers.

    id: unique in the process. Steps that write must name it (the target's mark carries it); the others get one from
    where they stand, "deliver-catch-1".
    """

    id: Name
    verb: str
    settings: StepSettings
    retry: RetrySettings | None = None
    link: LinkSettings | None = None
    verify: VerifySettings | None = None
    timeout: Duration | None = None
    discloses: dict[FieldName, Annotated[str, Field(min_length=10, max_length=500)]] = Field(
        default_factory=dict, description="Classified field: why this target may have it unmasked."
    )

    def arms(self) -> list[tuple[str, tuple[Step, ...]]]:
        """The nested step lists under the keys they have in YAML, in file order."""
        settings: Any = self.settings
        if isinstance(settings, DecideSettings):
            return [("then", settings.then), ("else", settings.otherwise)]
        if isinstance(settings, TrySettings):
            return [("try", settings.steps), ("catch", settings.catch)]
        return []


def walk(steps: tuple[Step, ...], path: Path) -> Iterator[tuple[Step, Path]]:
    """Every step below, parents first, each with its place in the document."""
    for index, step in enumerate(steps):
        here = (*path, index)
        yield step, here
        for key, arm in step.arms():
            yield from walk(arm, (*here, key))


for _model in (DecideSettings, TrySettings, Step):
    _model.model_rebuild()
