"""The golden catalog holds together, and reading a process costs only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dative.process.catalog import CatalogOperation, default_catalog
from dative.process.datatypes import parse_type
from jsonschema import Draft202012Validator

OPERATIONS = [
    pytest.param(operation, id=f"{name}.{key}")
    for name, connector in default_catalog().connectors.items()
    for key, operation in connector.operations.items()
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_can_be_validated_and_explained(operation: CatalogOperation) -> None:
    Draft202012Validator.check_schema(operation.options)
    assert operation.kind in ("source", "target")
    assert operation.options["additionalProperties"] is False
    assert "connection" not in operation.options["properties"]  # a modifier of every operation, not an option
    assert operation.doc.endswith(".")
    assert all(schema.get("description") for schema in operation.options["properties"].values())


def test_a_source_tells_its_fields_by_its_options() -> None:
    connectors = default_catalog().connectors
    query = connectors["salesforce"].operations["query"]
    assert query.source_fields({"fields": ["Id", "Owner.Name"]}) == {"Id": "any", "Owner.Name": "any"}
    read = connectors["disk"].operations["read"]
    declared = read.source_fields({"columns": {"id": "text", "total": "decimal(18,2)"}})
    assert declared is not None
    assert {name: str(parse_type(kind)) for name, kind in declared.items()} == {"id": "text", "total": "decimal(18,2)"}
    assert connectors["database"].operations["query"].source_fields({"table": "t"}) is None


def test_what_comes_back_of_a_write_is_known() -> None:
    upsert = default_catalog().connectors["database"].operations["upsert"]
    assert upsert.result_fields({}) == {"id"}
    assert upsert.result_fields({"result_columns": ["number"]}) == {"id", "number"}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("dative.process.model", ("sqlglot", "ruamel", "jsonschema")),
        ("dative.process.load", ("sqlglot", "ruamel", "jsonschema")),
        ("dative.process.catalog", ("sqlglot", "ruamel", "jsonschema", "pydantic")),
    ],
)
def test_a_module_that_every_start_imports_stays_light(module: str, without: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {without!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
