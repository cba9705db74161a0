"""process_call: leads the documents through another process of the same bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import Name, ProcessName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class ProcessCallSettings(ShapeSettings):
    """Leads the documents through another process, which starts with `documents`; what it returns flows on here.

    The called process is part of this execution: its connections, tables and parameters are its own, its steps are
    reported as `<this step>.<step>`, and its documents settle with these. It returns what reaches `return_documents`;
    where it has none, what flows out of its last step. Processes that call one another in a circle are refused.
    """

    shape: Literal["process_call"] = "process_call"
    process: ProcessName = Field(description="A process of the same bundle; its file is deployed with this one.")
    wait: bool = Field(
        True,
        description="`false`: the called process gets copies, and the documents go on as they came, whatever becomes of "
        "the copies. The batch settles when both have come to rest.",
    )
    abort: bool = Field(
        False,
        description="`true`: a document that fails in the called process, caught by nothing there, ends the execution. "
        "`false`: it fails here as in any other step, and its neighbours go on.",
    )
    parameters: dict[Name, str] = Field(
        default_factory=dict, description="Parameters of the called process, instead of its environment's values."
    )

    @model_validator(mode="after")
    def _waits_to_abort(self) -> Self:
        if self.abort and not self.wait:
            raise ValueError("abort needs wait: nobody looks at what becomes of copies")
        return self

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        after = check.call(self.process, step.id, (*here, "process"), fields, self.parameters)
        return after if self.wait else fields
