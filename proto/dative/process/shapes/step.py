"""A step: an id, one verb with its settings, and modifiers; and the walk over nested steps."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dative.process.findings import Path
from dative.process.scalars import Duration, FieldName, Name, Sql
from dative.process.shapes.base import Settings

STEPS_MAX = 250
ErrorClass = Literal["timeout", "rate_limited", "unavailable", "conflict"]


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
    budget: Duration = Field(
        default="1h", validate_default=True, description="All pauses together; the step's `timeout` is one, too."
    )


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


MODIFIERS: dict[str, frozenset[str]] = {
    "retry": frozenset(("operation", "try")),
    "timeout": frozenset(("operation", "try")),
    "link": frozenset(("operation",)),
    "verify": frozenset(("operation",)),
    "discloses": frozenset(("operation", "program_command")),
}
"""Which shapes a modifier has a meaning at."""


class Step(Settings):
    """One step: an id, one verb with its settings, and modifiers.

    id: unique in the process. Steps that write must name it (the target's mark carries it); the others get one from
    where they stand, "deliver-catch-1". settings: one of `registry.StepSettings`.
    """

    id: Name
    verb: str
    settings: StepSettings  # type: ignore[name-defined]  # noqa: F821  (the registry, which knows every verb, names it)
    retry: RetrySettings | None = None
    link: LinkSettings | None = None
    verify: VerifySettings | None = None
    timeout: Duration | None = None
    discloses: dict[FieldName, Annotated[str, Field(min_length=10, max_length=500)]] = Field(
        default_factory=dict, description="Classified field: why this target may have it unmasked."
    )

    def arms(self) -> list[tuple[Path, tuple[Step, ...]]]:
        """The nested step lists, in file order, each with its place relative to the step."""
        settings: Any = self.settings
        found: list[tuple[Path, tuple[Step, ...]]] = settings.arms(self.verb)
        return found


class Arm(Settings):
    """One of several named ways that documents take."""

    name: Name = Field(description="Shown in traces and reports.")
    steps: tuple[Step, ...] = Field(min_length=1, description="Steps of the documents that take it.")


def walk(steps: tuple[Step, ...], path: Path) -> Iterator[tuple[Step, Path]]:
    """Every step below, parents first, each with its place in the document."""
    for index, step in enumerate(steps):
        here = (*path, index)
        yield step, here
        for place, arm in step.arms():
            yield from walk(arm, (*here, *place))


def renamed(steps: tuple[Step, ...], prefix: str, suffix: str = "") -> tuple[Step, ...]:
    """The same steps under other ids: a called process' inside its caller, those of a lane beside the other lanes."""
    return tuple(_renamed(step, prefix, suffix) for step in steps)


def _renamed(step: Step, prefix: str, suffix: str) -> Step:
    settings: Any = step.settings
    nested = {
        name: _renamed_lists(nesting, getattr(settings, name), prefix, suffix)
        for name, nesting in settings.FORM.nested.items()
    }
    held = settings.model_copy(update=nested) if nested else settings
    return step.model_copy(update={"id": f"{prefix}{step.id}{suffix}", "settings": held})


def _renamed_lists(nesting: str, value: Any, prefix: str, suffix: str) -> Any:
    if nesting == "steps":
        return renamed(value, prefix, suffix)
    if nesting == "routes":
        return {key: renamed(steps, prefix, suffix) for key, steps in value.items()}
    return tuple(arm.model_copy(update={"steps": renamed(arm.steps, prefix, suffix)}) for arm in value)
