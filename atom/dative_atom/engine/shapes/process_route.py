"""process_route: leads each document through the process that the value of an expression names."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import ProcessRouteSettings

from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.routing import Flow
from dative_atom.engine.shapes.process_call import Call, compile_call
from dative_atom.engine.shapes.route import Route, typed_values


@dataclass(frozen=True)
class NoProcess:
    """The way of documents whose value names no process, where there is no default: they fail."""

    step: StepId
    schema: pa.Schema | None = None
    verb: str = "process_route"
    effect: bool = False
    composite: bool = False
    recorded: bool = False

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> None:
        reason = "its value names no process"
        flow.failures(
            self.step, batch, [Failure(row, codes.NO_PROCESS.name, reason, "") for row in range(batch.num_rows)]
        )


def compile_process_route(at: Arrival) -> Route:
    settings = at.settings(ProcessRouteSettings)
    query, (kind,) = at.query([("key", settings.key)])
    calls: dict[str, Call] = {}
    named = [*settings.processes.values(), *([settings.default] if settings.default else [])]
    for process in dict.fromkeys(named):
        step = StepId(f"{at.id}:{process}")
        calls[process] = compile_call(at, process, step, settings.parameters, abort=settings.abort)
    # Values of one process are one way, so that its documents are led through it together.
    ways = list(dict.fromkeys(settings.processes.values()))
    values = typed_values(at, settings.processes, kind)
    of = pa.array([ways.index(process) for process in settings.processes.values()], pa.int32())
    otherwise = [calls[settings.default]] if settings.default else [NoProcess(at.id)]
    schema = at.together(*(call.schema for call in calls.values()))
    effect = any(call.effect for call in calls.values())
    steps = [[calls[process]] for process in ways]
    return Route(at.id, query, values, of, steps, otherwise, schema, effect, verb="process_route")
