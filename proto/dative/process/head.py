"""What can be said of the head of a process before any document is followed: its functions and where its tables come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dative.errors import expression as expression_codes
from dative.errors import process as codes
from dative.process.chains import unknown_parameters
from dative.process.datatypes import parse_type
from dative.process.expression import read_expression
from dative.process.findings import Path, nearest
from dative.process.functions import FUNCTIONS
from dative.process.results import parameter_key
from dative.process.tables import SourcedTable

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

TABLE_OPERATION = "query"
"""The operation by which rows of a table are read from a connection."""


def check_head(check: FlowCheck) -> None:
    """Findings about functions and tables; expressions in the steps are the flow's."""
    for name in check.spec.functions:
        _function(name, check)
    for name, table in check.spec.tables.items():
        if isinstance(table, SourcedTable) and table.connection is not None:
            _connection(table.connection, ("spec", "tables", name, "connection"), check)


def _function(name: str, check: FlowCheck) -> None:
    path: Path = ("spec", "functions", name)
    if name in FUNCTIONS:
        check.report.key(codes.FUNCTION_TWICE, f"{name}() is a function of the language already", path)
    definition = check.spec.functions[name]
    types = {key: parse_type(kind) for key, kind in definition.parameters.items()}
    types |= {parameter_key(key): kind for key, kind in types.items()}
    others = {other: chain for other, chain in check.chains.items() if other not in FUNCTIONS}
    expression, problems = read_expression(definition.expression, types, others)
    if name in check.chains:
        problems = [*problems, *unknown_parameters(check.chains[name])]
        if expression is not None and not problems:
            # Called with its own parameters, a chain that comes back to itself is found out.
            example = f"{name}({', '.join(definition.parameters)})"
            problems = [
                found
                for found in read_expression(example, types, others)[1]
                if found.code is expression_codes.RECURSIVE
            ]
    for problem in problems:
        check.report.value(problem.code, problem.message, (*path, "expression"), offset=problem.offset)
    for call in expression.calls if expression is not None else ():
        check.own_call(call, (*path, "expression"))


def _connection(name: str, path: Path, check: FlowCheck) -> None:
    connector = check.spec.connections.get(name)
    if connector is None:
        note = nearest(name, check.spec.connections)
        check.report.value(codes.UNKNOWN_CONNECTION, f'the process declares no connection "{name}"{note}', path)
        return
    known = check.connector(connector)
    operation = known.operations.get(TABLE_OPERATION) if known is not None else None
    if known is not None and (operation is None or "sql" not in operation.options.get("properties", {})):
        message = (
            f"rows of a table are read with {connector}.{TABLE_OPERATION} and `sql`, which {connector} does not have"
        )
        check.report.value(codes.WRONG_CONNECTOR, message, path)
