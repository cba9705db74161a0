"""Writes the connectors' part of the golden catalog from every `<name>/spec.py`.

`python -m dative_atom.connectors.catalog --write | --check`. The process language validates steps against this file, so
that the controller's side needs none of the atom's code. `connection` is a modifier of every operation and not among
its options.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dative

from dative_atom.connectors.registry import CONNECTORS, connector_spec
from dative_atom.connectors.spec import OperationSpec, Settings

CATALOG = Path(dative.__path__[0]) / "process" / "catalog" / "connectors.json"


def catalog() -> dict[str, Any]:
    """{"connectors": {name: {doc, settings, secrets, required_secrets, operations}}}, schemas without references."""
    return {"connectors": {name: _connector(name) for name in sorted(CONNECTORS)}}


def _connector(name: str) -> dict[str, Any]:
    spec = connector_spec(name)
    return {
        "doc": spec.doc,
        "settings": schema_of(spec.settings),
        "secrets": dict(spec.secrets),
        "required_secrets": list(spec.required_secrets),
        "operations": {key: _operation(value) for key, value in spec.operations.items()},
    }


def _operation(spec: OperationSpec) -> dict[str, Any]:
    return {
        "kind": spec.kind,
        "doc": spec.doc,
        "options": schema_of(spec.options),
        "idempotent": spec.idempotent,
        "transactional": spec.transactional,
        "divisible": spec.divisible,
        "results": dict(spec.results),
    }


def schema_of(model: type[Settings]) -> dict[str, Any]:
    """JSON Schema of a model, nested models written out in place, so that it can be embedded anywhere."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    inlined = _inlined(schema, definitions)
    return dict(inlined)


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if reference is None:
        return {key: _inlined(value, definitions) for key, value in node.items()}
    target = _inlined(definitions[reference.removeprefix("#/$defs/")], definitions)
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def rendered() -> str:
    return json.dumps(catalog(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """0 when written or equal; 1 when --check finds that the file is not what the specs say; 2 for a wrong call."""
    if arguments == ["--write"]:
        CATALOG.parent.mkdir(parents=True, exist_ok=True)
        CATALOG.write_text(rendered(), encoding="utf-8")
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m dative_atom.connectors.catalog --write | --check\n")
        return 2
    if CATALOG.exists() and CATALOG.read_text(encoding="utf-8") == rendered():
        return 0
    sys.stderr.write(f"{CATALOG} is not what the specs say; run python -m dative_atom.connectors.catalog --write\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
