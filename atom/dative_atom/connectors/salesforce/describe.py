"""What an object's fields are: Salesforce's describe as Arrow columns, parent paths included.

Asks for each object once. Types: numbers become decimals of the declared digits, so that money stays exact; times are
UTC; compound fields (addresses, locations) are JSON text.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.salesforce import FIELD_UNKNOWN, OBJECT_UNKNOWN

from dative_atom.connectors.salesforce.client import OrgClient

DECIMAL_DIGITS_MIN = 18
_ARROW: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
}
_NUMBERS = frozenset({"double", "currency", "percent"})
_COMPOUND = frozenset({"address", "location", "complexvalue", "json"})


@dataclass(frozen=True)
class Column:
    """One field of a query. name: as the process wrote it; path: the same in Salesforce's own spelling."""

    name: str
    path: tuple[str, ...]
    kind: str  # Salesforce's field type
    arrow: pa.DataType
    calculated: bool = False
    filterable: bool = True
    length: int = 0  # characters of a text, 0 where there is no bound

    @property
    def field(self) -> pa.Field:
        """The Arrow column; metadata dative.type refines JSON text, dative.calculated marks formulas."""
        metadata = {}
        if self.kind in _COMPOUND:
            metadata["dative.type"] = "json"
        if self.calculated:
            metadata["dative.calculated"] = "true"
        return pa.field(self.name, self.arrow, metadata=metadata or None)


class Describer:
    """Describes objects of one org, each once."""

    def __init__(self, client: OrgClient) -> None:
        self._client = client
        self._objects: dict[str, dict[str, Any]] = {}

    def columns(self, object_name: str, names: Sequence[str]) -> list[Column]:
        """The columns of these fields and paths. StopRun naming the nearest field for one that there is not."""
        return [self.column(object_name, name) for name in names]

    def column(self, object_name: str, name: str) -> Column:
        *parents, last = name.split(".")
        path: list[str] = []
        objects = [object_name]
        for parent in parents:
            reference = self._field(objects, parent, key="relationshipName")
            path.append(reference["relationshipName"])
            objects = list(reference["referenceTo"]) or objects
        found = self._field(objects, last)
        return Column(
            name,
            (*path, found["name"]),
            found["type"],
            _arrow(found),
            bool(found["calculated"]),
            bool(found["filterable"]),
            int(found.get("length") or 0),
        )

    def fields(self, object_name: str) -> list[dict[str, Any]]:
        """Every field of the object as Salesforce describes it, in its order."""
        return [item for key, item in self._describe(object_name).items() if key.startswith("name:")]

    def _field(self, objects: Sequence[str], name: str, key: str = "name") -> dict[str, Any]:
        """The field of the first of these objects (a polymorphic reference has several) that has it."""
        known: list[str] = []
        for object_name in objects:
            fields = self._describe(object_name)
            found = fields.get(f"{key}:{name.lower()}")
            if found is not None:
                return dict(found)
            known += [field[key] for label, field in fields.items() if label.startswith(f"{key}:")]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; nearest is {near[0]}" if near else ""
        what = "parent" if key == "relationshipName" else "field"
        raise StopRun(f"{' or '.join(objects)} has no {what} {name}{hint}", code=FIELD_UNKNOWN)

    def _describe(self, object_name: str) -> dict[str, Any]:
        """Fields by "name:<lower case>" and "relationshipName:<lower case>"."""
        if object_name not in self._objects:
            answer = self._client.get(f"sobjects/{object_name}/describe")
            if not answer.get("queryable", True):
                raise StopRun(f"{object_name} can not be queried", code=OBJECT_UNKNOWN)
            fields = {}
            for item in answer["fields"]:
                fields[f"name:{item['name'].lower()}"] = item
                if item.get("relationshipName"):
                    fields[f"relationshipName:{item['relationshipName'].lower()}"] = item
            self._objects[object_name] = fields
        return self._objects[object_name]


def _arrow(field: Mapping[str, Any]) -> pa.DataType:
    """A number without declared digits stays a double; everything unknown is text."""
    kind = field["type"]
    if kind in _NUMBERS:
        if not field.get("precision"):
            return pa.float64()
        return pa.decimal128(max(field["precision"], DECIMAL_DIGITS_MIN), field.get("scale") or 0)
    return _ARROW.get(kind, pa.string())
