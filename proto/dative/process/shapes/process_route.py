"""process_route: leads each document through the process that the value of an expression names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.fields import Fields, together
from dative.process.findings import Path
from dative.process.scalars import Name, ProcessName, Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.route import ROUTES_MAX, reads_as
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class ProcessRouteSettings(ShapeSettings):
    """Leads each document through the process that a value names; what the processes return flows on together.

    Each process is a file of its own and is called as by `process_call`; its steps are reported as
    `<this step>:<process>.<step>`. A document whose value names no process takes the `default`; where there is none,
    it fails.
    """

    shape: Literal["process_route"] = "process_route"
    key: Sql = Field(description="An expression; its value names the process.")
    processes: dict[str, ProcessName] = Field(
        min_length=1, max_length=ROUTES_MAX, description="Value: process. Several values may name one process."
    )
    default: ProcessName | None = Field(default=None, description="The process of every other value, and of NULL.")
    abort: bool = Field(False, description="As of `process_call`.")
    parameters: dict[Name, str] = Field(default_factory=dict, description="As of `process_call`, for every process.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        kind = check.value(self.key, (*here, "key"), fields).type
        arms = []
        for value, process in self.processes.items():
            at = (*here, "processes", value)
            if not reads_as(value, kind):
                check.report.key(codes.WRONG_VALUE, f'"{value[:60]}" is no {kind}, which the expression gives', at)
            arms.append(check.call(process, f"{step.id}:{process}", at, fields, self.parameters))
        if self.default is not None:
            at = (*here, "default")
            arms.append(check.call(self.default, f"{step.id}:{self.default}", at, fields, self.parameters))
        return together(arms)
