"""What a shape's compiler is given: its step, the columns that reach it, and the words to build with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.shapes import RetrySettings, ShapeSettings, Step

from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Context, Shape

_Settings = TypeVar("_Settings", bound=ShapeSettings)
CompileSteps = Callable[
    [Sequence[Step], pa.Schema, Context, RetrySettings | None], tuple[list[Shape], pa.Schema | None]
]


@dataclass(frozen=True)
class Arrival:
    """A step that is compiled. schema: of the documents that reach it. retry: its own, or that of the try around it."""

    step: Step
    schema: pa.Schema
    context: Context
    retry: RetrySettings | None
    compile_steps: CompileSteps

    @property
    def id(self) -> StepId:
        return StepId(self.step.id)

    @property
    def where(self) -> str:
        return f"step {self.step.id}"

    def settings(self, kind: type[_Settings]) -> _Settings:
        """The step's settings. StopRun engine.process_unreadable when they are another shape's."""
        if not isinstance(self.step.settings, kind):
            raise StopRun(f"{self.where}: {self.step.verb} carries other settings", code=codes.PROCESS_UNREADABLE)
        return self.step.settings

    def steps(self, steps: Sequence[Step], schema: pa.Schema | None = None) -> tuple[list[Shape], pa.Schema | None]:
        """Nested steps, and the columns of what flows out of them; None where every document ends."""
        return self.compile_steps(steps, self.schema if schema is None else schema, self.context, self.retry)

    def query(self, outputs: Sequence[tuple[str, str]]) -> tuple[Query, list[pa.DataType]]:
        """A query of (field, SQL) pairs over the documents that reach this step, and the types of its columns."""
        query = self.context.query(outputs, self.where, self.schema)
        return query, query.types(self.context.session, no_rows(self.schema))

    def condition(self, sql: str) -> Query:
        """A query of one boolean. StopRun engine.compile_failed when it is none."""
        query, types = self.query([("condition", sql)])
        if not (pa.types.is_boolean(types[0]) or pa.types.is_null(types[0])):
            raise self.refused("the condition is no boolean")
        return query

    def together(self, *arms: pa.Schema | None) -> pa.Schema | None:
        """The columns of documents from several arms that flow on together; None when no arm lets any go on."""
        present = [arm for arm in arms if arm is not None]
        if not present or all(arm.equals(present[0]) for arm in present):
            return present[0] if present else None
        try:
            return pa.unify_schemas(present, promote_options="permissive")
        except pa.ArrowException as error:
            why = f"its arms give a field different types: {str(error).splitlines()[0]}"
            raise self.refused(why) from error

    def refused(self, why: str) -> StopRun:
        """The step does not fit what reaches it."""
        return StopRun(f"{self.where}: {why}", code=codes.COMPILE_FAILED, where=self.where)


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """An empty batch of these columns."""
    return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in schema], schema=schema)
