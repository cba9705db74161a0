"""The processes that an execution's process calls, directly and through others: read, opened, and their number bounded.

All of them are part of the one execution: their files came verified with it, their tables stand beside its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dative.errors import StopRun
from dative.errors import engine as codes
from dative.errors import process as process_codes
from dative.ids import StepId
from dative.process.calls import CALL_DEPTH_MAX, CALLED_STEPS_MAX, called_by, closure, cycle
from dative.process.chains import read_chains
from dative.process.model import Process
from dative.process.tables import XrefTable
from pydantic import ValidationError

from dative_atom.engine.evaluation.database import literal
from dative_atom.engine.evaluation.seeds import unique_columns
from dative_atom.engine.evaluation.tables import Origin, open_tables
from dative_atom.engine.plan import Called, Calling, Context


def read_process(path: Path) -> Process:
    """The process from its canonical JSON. StopRun engine.process_unreadable."""
    try:
        return Process.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, ValueError) as error:
        raise StopRun(
            f"the process {path.name} can not be read: {type(error).__name__}", code=codes.PROCESS_UNREADABLE
        ) from error


def parameters_of(process: Process, given: Mapping[str, str]) -> dict[str, str]:
    """Every declared parameter with its value, and what else was given. StopRun engine.parameter_missing."""
    values = {name: parameter.default for name, parameter in process.spec.parameters.items()}
    values.update(given)
    missing = sorted(name for name, value in values.items() if value is None)
    if missing:
        raise StopRun(
            f"process {process.name} has no value for {', '.join(missing)}",
            code=codes.PARAMETER_MISSING,
            where=process.name,
        )
    return {name: value for name, value in values.items() if value is not None}


def read_called(process: Process, artifacts: Mapping[str, Path]) -> dict[str, Process]:
    """Every process that is called, by name. StopRun process.call_cycle, engine.process_unreadable."""
    known = {process.name: process}

    def calls(name: str) -> tuple[str, ...]:
        if name not in known:
            path = artifacts.get(f"{name}/process.json")
            if path is None:
                raise StopRun(f"the bundle holds no process {name}, which is called", code=codes.PROCESS_UNREADABLE)
            known[name] = read_process(path)
        return called_by(known[name])

    circle = cycle(process.name, calls)
    if circle is not None:
        raise StopRun(f"the calls never end: {' → '.join(circle)}", code=process_codes.CALL_CYCLE, where=process.name)
    return {name: known[name] for name in closure(process.name, calls)}


def open_called(processes: Mapping[str, Process], origin: Origin, given: Mapping[str, str]) -> dict[str, Called]:
    """What each is compiled in. given: "<process>.<parameter>" -> value."""
    opened = {}
    for name, process in processes.items():
        own = {key[len(name) + 1 :]: value for key, value in given.items() if key.startswith(f"{name}.")}
        tables = open_tables(process.spec, name, origin)
        values = {parameter: declared.default for parameter, declared in process.spec.parameters.items()}
        opened[name] = Called(
            process, tables, {**values, **{key: value for key, value in own.items() if key in values}}
        )
    return opened


def inside(context: Context, name: str, step: StepId, parameters: Mapping[str, str]) -> tuple[Called, Context]:
    """The called process, and the context in which its steps are compiled for that step.

    StopRun process.call_cycle, process.call_too_deep, engine.process_unreadable, engine.parameter_missing.
    """
    called = context.processes.get(name)
    trail = (*(context.calling.trail if context.calling else (context.process,)), name)
    if called is None:
        raise StopRun(f"step {step}: the bundle holds no process {name}", code=codes.PROCESS_UNREADABLE, where=step)
    if name in trail[:-1]:
        way = " → ".join(trail)
        raise StopRun(f"step {step}: the calls never end: {way}", code=process_codes.CALL_CYCLE, where=step)
    context.steps.count += sum(1 for _ in called.process.steps())
    if len(trail) > CALL_DEPTH_MAX or context.steps.count > CALLED_STEPS_MAX:
        why = f"{' → '.join(trail)}: at most {CALL_DEPTH_MAX} levels and {CALLED_STEPS_MAX} steps"
        raise StopRun(f"step {step}: {why}", code=process_codes.CALL_TOO_DEEP, where=step)
    spec = called.process.spec
    given = {key: value for key, value in called.parameters.items() if value is not None}
    own = replace(
        context,
        process=name,
        tables=called.tables,
        parameters=parameters_of(called.process, {**given, **parameters}),
        properties={**context.properties, "process.name": literal(name)},
        rates=spec.rates_table,
        unique={table: unique_columns(found) for table, found in spec.tables.items() if isinstance(found, XrefTable)},
        calling=Calling(step, trail),
        conflicts={name: found.conflict for name, found in spec.tables.items() if isinstance(found, XrefTable)},
        chains=read_chains(spec.functions),
    )
    return called, own
