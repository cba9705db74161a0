"""Functions of the process' own: expanded, typed, checked where they are declared and where they are called, bounded."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from dative.process import datatypes
from dative.process.chains import read_chains
from dative.process.expression import read_expression
from dative.process.load import check
from dative.process.model import ChainSettings

HEAD = """
apiVersion: dative/v1
kind: Process
metadata: {name: p}
spec:
  connections: {crm: salesforce, erp: database}
  tables: {link: {kind: xref, columns: [crm, erp]}}
  functions:
FUNCTIONS
  source: {id: read, salesforce.query: {connection: crm, object: Account, fields: [Id, Amount, At]}}
  steps:
    - id: make
      map: {fields: {id: Id, x: EXPRESSION}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [id]}}
"""
PROFILES = {"read": {"Id": "text", "Amount": "decimal(18,2)", "At": "timestamp"}}


def found(functions: list[str], expression: str = "Id") -> list[str]:
    text = HEAD.replace("FUNCTIONS", "\n".join(f"    {line}" for line in functions)).replace("EXPRESSION", expression)
    return [finding.code.name for finding in check(text, filename="p.yaml", profiles=PROFILES).findings]


@pytest.mark.parametrize(
    ("functions", "expression", "codes"),
    [
        (["f: {parameters: {a: text}, expression: upper(a)}"], "f(Id)", []),
        (["f: {parameters: {a: text}, expression: upper(a)}"], "f(Amount)", ["expression.wrong_type"]),
        (["f: {parameters: {a: text}, expression: upper(a)}"], "'f(Id, Id)'", ["expression.wrong_arguments"]),
        (["f: {parameters: {a: text}, expression: upper(b)}"], "Id", ["expression.wrong_arguments"]),
        (["f: {parameters: {a: 'decimal(18,2)'}, expression: upper(a)}"], "Id", ["expression.wrong_type"]),
        (["f: {parameters: {a: text}, expression: g(a)}", "g: {parameters: {a: text}, expression: f(a)}"], "Id",
         ["expression.recursive", "expression.recursive"]),
        (["f: {parameters: {a: text}, expression: upper(a)}", "g: {parameters: {b: text}, expression: f(f(b))}"], "g(Id)", []),
        (["f: {expression: \"param('nobody')\"}"], "Id", ["process.unknown_parameter"]),
        (["f: {parameters: {a: text}, expression: \"xref('nobody', crm => a, want => 'erp')\"}"], "Id", ["process.unknown_table"]),
        (["f: {parameters: {a: any}, expression: getenv('HOME')}"], "Id", ["expression.forbidden_function"]),
        (["f: {parameters: {a: txet}, expression: upper(a)}"], "Id", ["process.wrong_value"]),
        (["F: {parameters: {a: text}, expression: upper(a)}"], "Id", ["process.wrong_value"]),
        (["f: {parameters: {a: text, z: text}, expression: \"format_timestamp(TIMESTAMP '2024-01-01 00:00:00', a, zone => z)\"}"],
         "\"f('%Y', 'Mars/Base')\"", ["expression.wrong_arguments"]),
    ],
)  # fmt: skip
def test_a_function_is_checked_where_it_is_declared_and_where_it_is_called(functions, expression: str, codes) -> None:
    assert found(functions, expression) == codes


def test_an_argument_keeps_its_own_precedence_and_a_name_of_the_document_stays_its_own() -> None:
    chains = read_chains(
        {
            "double": ChainSettings(parameters={"x": "integer"}, expression="x * 2"),
            "swap": ChainSettings(parameters={"a": "text", "b": "text"}, expression="b || a"),
        }
    )
    types = {"n": datatypes.INTEGER, "a": datatypes.TEXT, "b": datatypes.TEXT}
    expression, problems = read_expression("double(n + 1) + double(double(n))", types, chains)
    assert problems == []
    assert expression.tree.sql("duckdb") == "((n + 1) * 2) + (((n * 2)) * 2)"
    assert str(expression.type) == "integer"
    # The arguments are called as the parameters are, the other way round.
    expression, _ = read_expression("swap(b, a)", types, chains)
    assert expression.tree.sql("duckdb") == "(a || b)"


def test_functions_that_double_at_every_level_are_refused_at_a_bound() -> None:
    names = [f"f{level}" for level in range(40)]
    definitions = {"f0": ChainSettings(parameters={"a": "text"}, expression="a || a")}
    for below, name in pairwise(names):
        definitions[name] = ChainSettings(parameters={"a": "text"}, expression=f"{below}(a) || {below}(a)")
    started = time.process_time()
    _, problems = read_expression("f39('x')", {}, read_chains(definitions))
    assert [problem.code.name for problem in problems] == ["expression.too_deep"]
    assert time.process_time() - started < 5
