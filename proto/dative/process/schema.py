"""JSON Schema of a process file, so that editors complete and lint: `process.schema.json`, committed and kept fresh.

Made from the models and the catalog. It describes the YAML a person writes, which differs from the models in a step
(verb and settings are one key) and in `link` (columns stand beside `xref`). It can not say what `validate` says: fields,
types and what depends on another place of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dative.process import shapes
from dative.process.catalog import Catalog, CatalogOperation, default_catalog
from dative.process.flow_control import FlowControl
from dative.process.model import API_VERSION, ChainSettings, Metadata, Parameter, ScheduleTrigger, Spec
from dative.process.scalars import STEP_NAME
from dative.process.tables import LookupTable, RatesTable, SequenceTable, XrefTable

SCHEMA_FILE = Path(__file__).with_name("process.schema.json")
_HIDDEN = ("shape",)
_TABLES = (RatesTable, XrefTable, LookupTable, SequenceTable)
_INSIDE = 2
"""How often a model that holds itself is written out inside itself; below that the schema says only `object`."""
_STEPS = {"type": "array", "items": {"$ref": "#/$defs/step"}}
_SQL = {"type": ["string", "integer", "boolean", "null"], "description": "one SQL expression"}


def process_schema(catalog: Catalog | None = None) -> dict[str, Any]:
    """The schema as data. catalog: whose operations are verbs; by default the one that ships."""
    catalog = catalog or default_catalog()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Dative process",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": "Process"},
            "metadata": _model(Metadata),
            "spec": _spec(catalog),
        },
        "$defs": {"step": _step(catalog, "target"), "source": _step(catalog, "source")},
    }


def rendered(catalog: Catalog | None = None) -> str:
    """The bytes of process.schema.json."""
    return json.dumps(process_schema(catalog), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _spec(catalog: Catalog) -> dict[str, Any]:
    schema = _model(Spec)
    own: dict[str, Any] = {
        "source": {"$ref": "#/$defs/source"},
        "steps": _STEPS,
        "triggers": {"type": "array", "maxItems": 10, "items": _only("schedule", _model(ScheduleTrigger, ("kind",)))},
        "tables": {"type": "object", "additionalProperties": {"oneOf": [_table(model) for model in _TABLES]}},
        "functions": {"type": "object", "additionalProperties": _model(ChainSettings)},
        "parameters": {"type": "object", "additionalProperties": _model(Parameter)},
        "connections": {"type": "object", "additionalProperties": {"enum": sorted(catalog.connectors)}},
    }
    own["flow_control"] = _model(FlowControl)
    for name, value in own.items():
        described = Spec.model_fields[name].description
        schema["properties"][name] = {**value, **({"description": described} if described else {})}
    return schema


def _table(model: type[BaseModel]) -> dict[str, Any]:
    schema = _model(model)
    return {**schema, "required": sorted({*schema.get("required", []), "kind"})}


def _only(key: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [key], "additionalProperties": False, "properties": {key: schema}}


def _step(catalog: Catalog, kind: str) -> dict[str, Any]:
    """A step: every verb as a property, so that editors offer them all, and exactly one of them needed."""
    verbs = _shape_verbs(shapes.SOURCES if kind == "source" else shapes.VERBS)
    for name, connector in sorted(catalog.connectors.items()):
        for key, operation in sorted(connector.operations.items()):
            if operation.kind == kind:
                verbs[f"{name}.{key}"] = _operation(operation)
    beside = {} if kind == "source" else _beside()
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": STEP_NAME, "description": "Unique in the process."},
            **verbs,
            **beside,
            **_modifiers(),
        },
        "oneOf": [{"required": [verb]} for verb in verbs],
        "dependentRequired": {key: [shapes.BESIDE[key]] for key in beside},
    }


def _shape_verbs(verbs: Mapping[str, type[shapes.ShapeSettings]]) -> dict[str, Any]:
    return {name: {**_verb(model), "description": (model.__doc__ or "").strip()} for name, model in verbs.items()}


def _verb(model: type[shapes.ShapeSettings]) -> dict[str, Any]:
    """What may stand behind a verb."""
    form, whole = model.FORM, _model(model, _HIDDEN)
    properties = {name: _held(form, name, value) for name, value in whole.get("properties", {}).items()}
    if form.value is not None:
        return properties[form.value]
    beside = {key for name in form.beside.values() for key in _keys(model, name)}
    left = {name: value for name, value in properties.items() if name not in beside}
    needed = [name for name in whole.get("required", ()) if name in left]
    kind = ["object", "null"] if form.empty else "object"
    return {**whole, "type": kind, "properties": left, **({"required": needed} if needed else {})}


def _beside() -> dict[str, Any]:
    """The keys that stand beside their verbs."""
    found: dict[str, Any] = {}
    for key, verb in shapes.BESIDE.items():
        model = shapes.VERBS[verb]
        name = model.FORM.beside[key]
        properties = _model(model, _HIDDEN)["properties"]
        found[key] = _held(model.FORM, name, next(properties[key] for key in _keys(model, name) if key in properties))
    return found


def _held(form: shapes.Form, name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {**_STEPS, **_kept(value)} if form.nested.get(name) == "steps" else value


def _kept(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in ("minItems", "description") if key in value}


def _keys(model: type[BaseModel], name: str) -> tuple[str, ...]:
    """The names a field may have in a schema: its own, and its alias."""
    return (name, *filter(None, (model.model_fields[name].alias,)))


def _modifiers() -> dict[str, Any]:
    properties = _model(shapes.Step)["properties"]
    found = {name: properties[name] for name in shapes.MODIFIERS if name != "link"}
    found["link"] = {
        "type": "object",
        "required": ["xref"],
        "minProperties": 3,
        "properties": {"xref": {"type": "string", "pattern": STEP_NAME}},
        "additionalProperties": _SQL,
        "description": (shapes.LinkSettings.__doc__ or "").strip(),
    }
    return {name: _without_null(found[name]) for name in shapes.MODIFIERS}


def _operation(operation: CatalogOperation) -> dict[str, Any]:
    options = dict(operation.options)
    connection = {"type": "string", "pattern": STEP_NAME, "description": "A connection that the process declares."}
    return {
        **options,
        "description": operation.doc,
        "properties": {"connection": connection, **options.get("properties", {})},
        "required": ["connection", *options.get("required", [])],
    }


def _model(model: type[BaseModel], hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """A model's schema with what it refers to written out; `Step` inside it stays a reference."""
    schema = model.model_json_schema(mode="validation")
    plain: dict[str, Any] = _inlined(schema, schema.get("$defs", {}))
    if "$ref" in schema:  # a recursive model describes itself by reference
        plain = _inlined(schema["$defs"][model.__name__], schema["$defs"])
    properties = {name: value for name, value in plain.get("properties", {}).items() if name not in hidden}
    return {**plain, "properties": properties} if properties else plain


def _inlined(node: Any, definitions: dict[str, Any], inside: tuple[str, ...] = ()) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    reference = str(node.get("$ref", "")).removeprefix("#/$defs/")
    if reference == "Step":
        return {"$ref": "#/$defs/step"}
    if inside.count(reference) >= _INSIDE:
        return {"type": "object"}
    if reference:
        written = _inlined(definitions[reference], definitions, (*inside, reference))
        return {**written, **{k: v for k, v in node.items() if k != "$ref"}}
    # Titles repeat the keys in capitals; discriminators are OpenAPI's and mean nothing to an editor.
    left_out = ("$defs", "title", "discriminator")
    return {
        key: _inlined(value, definitions, inside)
        for key, value in node.items()
        if key not in left_out or (isinstance(value, dict) and key == "title")
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional modifier is left out in YAML, never written as null."""
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**branches[0], **rest}
