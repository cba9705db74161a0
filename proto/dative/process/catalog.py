"""The golden catalog: which connectors there are, what their operations take, and whether they may be repeated.

The connectors' part is `catalog/connectors.json`, generated from the connectors' own specs; functions are in
`functions`, shapes in `shapes`. Both programs read the same file, so that a process that validates at the
administrator's desk is understood by the atom.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

SOURCE_FIELD_OPTIONS = ("fields", "columns")
DOCUMENT_FIELD_OPTIONS = ("key",)
BIND_OPTIONS = ("where", "sql")
RESULT_OPTIONS = ("result_columns",)
"""Options that mean the same in every connector: the fields a source delivers (a list, or name -> type), fields of the
written documents, texts in which binds are filled in, columns that come back as result.<column>."""


@dataclass(frozen=True)
class CatalogOperation:
    """One operation of a connector.

    kind: what it does in a process. options: JSON Schema of its options, `connection` not among them. idempotent: it
    may be repeated after a lost answer; transactional: the target tells by its own mark whether a batch was applied.
    An operation that is neither needs `verify`. divisible: a source that `spread` can divide. results: what comes back of
    every document, name -> description.
    """

    kind: Literal["source", "target"]
    options: Mapping[str, Any]
    idempotent: bool
    doc: str
    transactional: bool = False
    divisible: bool = False
    results: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, Any]:
        """JSON Schema of each option."""
        found: Mapping[str, Any] = self.options.get("properties", {})
        return found

    def source_fields(self, options: Mapping[str, Any]) -> dict[str, str] | None:
        """What the source delivers by its options: field -> type as text ("any"); None when they do not say."""
        for name in SOURCE_FIELD_OPTIONS:
            value = options.get(name)
            if value and isinstance(value, Mapping):
                return {str(key): str(kind) for key, kind in value.items()}
            if value and isinstance(value, list | tuple):
                return {str(key): "any" for key in value}
        return None

    def result_fields(self, options: Mapping[str, Any]) -> set[str]:
        """The names that stand behind `result.` in this step."""
        asked = options.get(RESULT_OPTIONS[0])
        return {*self.results, *(str(name) for name in asked or () if isinstance(asked, list | tuple))}


@dataclass(frozen=True)
class CatalogConnector:
    """One connector: JSON Schema of its settings, the names of its secrets, its operations."""

    settings: Mapping[str, Any]
    secrets: tuple[str, ...]
    operations: Mapping[str, CatalogOperation]
    doc: str = ""


@dataclass(frozen=True)
class Catalog:
    """Everything that a process may name and that is not in the process itself."""

    connectors: Mapping[str, CatalogConnector] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Catalog:
        """From the JSON of connectors.json. Raises KeyError for a broken catalog."""
        return cls({name: _connector(entry) for name, entry in data["connectors"].items()})

    def operation_names(self) -> list[str]:
        """ "salesforce.query", …: every verb that is an operation."""
        return [f"{name}.{operation}" for name, entry in self.connectors.items() for operation in entry.operations]


def _connector(entry: Mapping[str, Any]) -> CatalogConnector:
    operations = {}
    for name, operation in entry["operations"].items():
        operations[name] = CatalogOperation(
            kind=operation["kind"],
            options=operation["options"],
            idempotent=operation["idempotent"],
            doc=operation.get("doc", ""),
            transactional=operation.get("transactional", False),
            divisible=operation.get("divisible", False),
            results=operation.get("results", {}),
        )
    return CatalogConnector(
        entry.get("settings", {}), tuple(entry.get("secrets", ())), operations, entry.get("doc", "")
    )


@cache
def default_catalog() -> Catalog:
    """The catalog that ships with this version."""
    text = resources.files("dative.process").joinpath("catalog/connectors.json").read_text(encoding="utf-8")
    return Catalog.parse(json.loads(text))
