"""The reference page of the language, made from the models, the functions and the catalog.

`python -m dative.process.reference --write` writes REFERENCE.md and process.schema.json; `--check` says whether they
are what the code says (1 when they are not). A test checks the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dative.process import schema, shapes
from dative.process.catalog import Catalog, CatalogOperation, default_catalog
from dative.process.flow_control import FlowControl, Partitions, Spread
from dative.process.forbidden import FORBIDDEN
from dative.process.functions import FUNCTIONS, PROPERTIES, Function
from dative.process.identifiers import IDENTIFIERS
from dative.process.model import ChainSettings, Metadata, Parameter, ScheduleTrigger, Spec
from dative.process.tables import LookupTable, RatesTable, SequenceTable, XrefTable
from dative.process.validate import BINDS

REFERENCE_FILE = Path(__file__).with_name("REFERENCE.md")

_MASKS = (
    ("drop", "The field is gone; where arms come together again, its documents have NULL there."),
    ("redact", "`***`, or NULL where the field is no text."),
    (
        "keep_first(n)",
        "The first n characters, 0..64; the rest becomes `*`, as does all of a value that is not longer.",
    ),
    ("keep_last(n)", "The last n characters, 0..64; the rest becomes `*`, as does all of a value that is not longer."),
    ("hash", "A hash under the environment's mask key: equal values stay equal, nobody reads them."),
    (
        "token",
        "`tok_` and 20 digits under the environment's mask key: equal values get equal tokens in every execution. What it "
        "stands for is kept sealed in the atom's vault; `dative vault reveal` shows it to a reader that the bundle admits.",
    ),
    ("date_shift(days)", "A date or timestamp moved by 1..days days, at most 3650; equal values move alike."),
    (
        "date_shift(days, key => field)",
        "All dates of one `field` (a patient's id) move alike, so the days between them stay; NULL where that is NULL.",
    ),
    ("zip3", "The first three digits of a US ZIP code; `000` for areas of at most 20,000 people and for what is none."),
    ("year", "The year of a date; all of 90 and more years before the execution are one."),
    ("age", "Whole years, 90 for everybody of 90 and more."),
)
_CATEGORIES = {
    "own": "Of the language",
    "text": "Text",
    "number": "Numbers",
    "date": "Dates and times",
    "condition": "Conditions and NULL",
    "json": "JSON",
    "list": "Lists",
    "set": "Over several documents",
}


def reference(catalog: Catalog | None = None) -> str:
    """The whole page as Markdown."""
    parts = (_head(), *_process(), *_steps(), *_operations(catalog or default_catalog()), *_expressions())
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _head() -> list[str]:
    return [
        "# The process language: reference",
        "",
        "Made from the code by `python -m dative.process.reference --write`; do not edit.",
        "",
        "A file holds one process in YAML 1.2: `apiVersion: dative/v1`, `kind: Process`, `metadata`, `spec`. Anchors, aliases,",
        "merge keys and tags are not part of the language. Expressions are SQL; put those with commas on a line of their own or in",
        "quotes, because `{a: concat(b, c)}` is two keys to YAML. Durations: `500ms`, `2s`, `5m`, `12h`, `30d`.",
        "",
    ]


def _process() -> Iterator[list[str]]:
    yield ["## The process", "", "### metadata", "", *_keys(Metadata), "", "### spec", "", *_keys(Spec), ""]
    yield [
        "`track: [Id, hash(Phone)]`: `dative find VALUE` finds a document by any of its keys. Of a field tracked as `hash(Field)`",
        "only a hash under the environment's key leaves the atom; who may see payloads finds it by its value all the same. A",
        "classified field can be tracked in no other way. At most 512 characters of a key are compared.",
        "",
        "What each target has of each document stays on the atom as receipts for 30 days, or for as long as the environment says:",
        "`dative env set ENVIRONMENT --override <process>.receipts_keep=90d`. `dative execution receipts EXECUTION` reads them.",
        "",
    ]
    yield list(_identifiers())
    yield ["### triggers: `- schedule:`", "", *_about(ScheduleTrigger), *_keys(ScheduleTrigger, ("kind",)), ""]
    yield ["### parameters", "", *_about(Parameter), *_keys(Parameter), ""]
    yield ["### functions", "", *_about(ChainSettings), *_keys(ChainSettings), ""]
    yield ["### flow_control", "", *_about(FlowControl), *_keys(FlowControl), ""]
    yield ["`partitions` of `flow_control`:", "", *_about(Partitions), *_keys(Partitions), ""]
    yield ["`spread` of `flow_control`:", "", *_about(Spread), *_keys(Spread), ""]
    for model in (RatesTable, XrefTable, LookupTable, SequenceTable):
        kind = model.model_fields["kind"].default
        yield [f"### tables: `kind: {kind}`", "", *_about(model), *_keys(model, ("kind",)), ""]


def _identifiers() -> Iterator[str]:
    yield "### classify: HIPAA's identifiers"
    yield ""
    yield "`classify: {phi: [Phone, patient.ssn, '*__ssn', {field: Plan__c, identifier: health_plan}], none: [Homepage]}`. The"
    yield "class follows the value through every expression until a mask; a protected value on its way to a target, a link, a"
    yield "position or a tracked key is an error. A condition may read one: which arm a document took is not followed. What a"
    yield "field's name suggests is a warning, until the field is classified or stands under `none`."
    yield ""
    yield "| `identifier` | 45 CFR 164.514(b)(2)(i) | what | recommended masks | because |"
    yield "|---|---|---|---|---|"
    for one in IDENTIFIERS:
        masks = " or ".join(f"`{mask}`" for mask in one.masks)
        yield f"| `{one.kind}` | ({one.letter}) | {one.what} | {masks} | {one.why} |"
    yield ""
    yield "These masks keep a value from whoever needs not see it. De-identification by Safe Harbor asks for more: only"
    yield "`drop`, `redact`, `zip3`, `year` and `age` leave nothing that it lists. What is made of a value (`token`, `hash`), kept"
    yield "of it (`keep_first`, `keep_last`) or moved (`date_shift`) needs an expert's determination, 45 CFR 164.514(b)(1)."
    yield ""


def _steps() -> Iterator[list[str]]:
    yield [
        "## Steps",
        "",
        f"A step is an `id`, exactly one verb, and modifiers; a process has at most {shapes.STEPS_MAX}. Steps that write need",
        "their id written; the others get one from where they stand (`deliver-catch-1`).",
        "",
    ]
    yield [
        "## Sources",
        "",
        "`spec.source` is an operation that reads, or one of these. It is a step with an id like the others.",
        "",
    ]
    for verb, model in shapes.SOURCES.items():
        yield [f"### {verb}", "", *_about(model), *_verb_keys(verb, model), ""]
    yield ["## Shapes", ""]
    for verb, model in shapes.VERBS.items():
        yield [f"### {verb}", "", *_about(model), *_verb_keys(verb, model), ""]
    modifiers: dict[str, type[BaseModel] | None] = {
        "retry": shapes.RetrySettings,
        "link": shapes.LinkSettings,
        "verify": shapes.VerifySettings,
    }
    for name, settings in modifiers.items():
        belongs = ", ".join(sorted(shapes.MODIFIERS[name]))
        about = _about(settings) if settings else []
        yield [f"### modifier `{name}` (of: {belongs})", "", *about, *(_keys(settings) if settings else []), ""]
    yield ["`backoff` of `retry`:", "", *_keys(shapes.BackoffSettings), ""]
    yield [
        "`link` holds its columns beside `xref`: `link: {xref: account-customer, salesforce: source_id, erp: result.id}`.",
        "",
        "### modifiers `timeout` and `discloses`",
        "",
        "`timeout: 30s` (of: operation, try) bounds one attempt. `discloses: {field: reason}` (of: operation) says why this target",
        "may have a classified field unmasked; without it, a classified value that no mask has touched is an error.",
        "",
    ]


def _verb_keys(verb: str, model: type[shapes.ShapeSettings]) -> list[str]:
    form = model.FORM
    beside = ", ".join(f"`{key}:`" for key in form.beside)
    if form.value is not None:
        behind = f"<{form.value}>" if form.value not in form.nested else f"[{form.value}]"
        written = f"`{verb}: {behind}`" + (f", with {beside} beside it." if beside else ".")
    elif form.empty and not [name for name in model.model_fields if name != "shape"]:
        return [f"`{verb}: {{}}`"]
    else:
        written = f"`{verb}: {{…}}`" + (f", with {beside} beside it." if beside else ".")
    masks = ["", "| Mask | |", "|---|---|", *(f"| `{name}` | {doc} |" for name, doc in _MASKS)]
    return [written, "", *_keys(model), *(masks if verb == "mask" else [])]


def _operations(catalog: Catalog) -> Iterator[list[str]]:
    binds = ", ".join(f"`:{name}`" for name in BINDS)
    yield [
        "## Operations",
        "",
        f"`<connector>.<operation>: {{connection: …, …}}`. In `where` and `sql` stand binds: {binds} and every parameter.",
        "",
    ]
    for name, connector in sorted(catalog.connectors.items()):
        for key, operation in sorted(connector.operations.items()):
            yield [f"### {name}.{key}", "", *_operation(operation), ""]


def _operation(operation: CatalogOperation) -> list[str]:
    repeatable = operation.idempotent or operation.transactional
    kind = "Reads" if operation.kind == "source" else "Writes"
    note = "" if operation.kind == "source" or repeatable else " Not idempotent: its step needs `verify`."
    note += " It can be spread." if operation.divisible else ""
    lines = [f"{kind}. {operation.doc}{note}", ""]
    required = operation.options.get("required", ())
    rows = [
        f"| `{name}`{' (needed)' if name in required else ''} | {_json_type(value)} | {_cell(value.get('description', ''))} |"
        for name, value in operation.options.get("properties", {}).items()
    ]
    lines += ["| Option | Value | |", "|---|---|---|", *rows] if rows else []
    for name, doc in operation.results.items():
        lines += ["", f"`result.{name}`: {doc}"]
    return lines


def _expressions() -> Iterator[list[str]]:
    yield [
        "## Expressions",
        "",
        "One SQL expression over the fields of one document: literals, `+ - * / // %`, `||`, comparisons, `AND OR NOT`, `IN (…)`,",
        "`BETWEEN`, `LIKE`, `ILIKE`, `IS NULL`, `IS DISTINCT FROM`, `CASE`, `CAST` and `TRY_CAST`, `EXTRACT`, `INTERVAL`,",
        "`AT TIME ZONE`, and the functions below. Field names with other characters stand in double quotes.",
        "",
    ]
    for category, title in _CATEGORIES.items():
        rows = [_function(function) for function in FUNCTIONS.values() if function.category == category]
        yield [f"### {title}", "", "| Function | | Example |", "|---|---|---|", *rows, ""]
    rows = [f"| `{name}` | {kind} | {doc} |" for name, (kind, doc) in PROPERTIES.items()]
    yield ["Names that `property()` reads:", "", "| Name | Type | |", "|---|---|---|", *rows, ""]
    reasons: dict[str, list[str]] = {}
    for name, reason in FORBIDDEN.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    listed = [f"- {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    yield ["### Not here, and why", "", *listed, ""]


def _function(function: Function) -> str:
    example = function.example + (f" → {function.result}" if function.result else "")
    return f"| `{_cell(function.signature)}` | {_cell(function.doc)} | `{_cell(example)}` |"


def _about(model: type[BaseModel]) -> list[str]:
    return [" ".join((model.__doc__ or "").split()), ""]


def _keys(model: type[BaseModel], hidden: tuple[str, ...] = ()) -> list[str]:
    properties = model.model_json_schema().get("properties") or _recursive(model)
    rows = []
    for name, info in model.model_fields.items():
        key = info.alias or name
        if name in ("shape", *hidden):
            continue
        needed = " (needed)" if info.is_required() else ""
        kind = _json_type(properties.get(key, {}))
        rows.append(
            f"| `{key}`{needed} | {kind}{_default(properties.get(key, {}))} | {_cell(info.description or '')} |"
        )
    return ["| Key | Value | |", "|---|---|---|", *rows] if rows else []


def _recursive(model: type[BaseModel]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = model.model_json_schema()["$defs"][model.__name__]["properties"]
    return found


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "" if default in (None, "", [], {}, ()) else f", default `{default}`"


def _json_type(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    branches = [branch for branch in value.get("anyOf", ()) if branch.get("type") != "null"]
    if branches:
        return " or ".join(dict.fromkeys(_json_type(branch) for branch in branches))
    kind = value.get("type", "mapping" if "$ref" in value else "value")
    names = {"object": "mapping", "string": "text", "array": "list"}
    return " or ".join(names.get(item, item) for item in ([kind] if isinstance(kind, str) else kind) if item != "null")


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def generated() -> dict[Path, str]:
    """Every file that is made from the language, and its content."""
    return {REFERENCE_FILE: reference(), schema.SCHEMA_FILE: schema.rendered()}


def main(arguments: list[str]) -> int:
    """0 when written or fresh, 1 when --check finds a file that is not what the code says, 2 for a wrong call."""
    if arguments == ["--write"]:
        for path, content in generated().items():
            path.write_text(content, encoding="utf-8")
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m dative.process.reference --write | --check\n")
        return 2
    stale = [path for path, content in generated().items() if not _is_fresh(path, content)]
    for path in stale:
        sys.stderr.write(f"{json.dumps(path.name)} is stale: run python -m dative.process.reference --write\n")
    return 1 if stale else 0


def _is_fresh(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
