"""What an object's fields are in the words of the process language: of what is read, and of what may be written.

Source: REST API Developer Guide, "sObject Describe": length, precision, scale, nillable, createable, updateable,
defaultedOnCreate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dative_atom.connectors.salesforce.describe import Column, Describer
from dative_atom.documents.profile import data_type

ID_LENGTH: Final = 18


def read_fields(describer: Describer, object_name: str, names: Sequence[str]) -> dict[str, str]:
    """Of these fields and parent paths, as documents will have them."""
    return {column.name: _type(column) for column in describer.columns(object_name, names)}


def written_fields(describer: Describer, object_name: str, *, creating: bool) -> dict[str, str]:
    """Of everything that the object has, for the user whose rights apply.

    creating: rows are added, so fields that may not be empty and get no value by themselves are needed.
    """
    return {item["name"]: _written(describer, object_name, item, creating) for item in describer.fields(object_name)}


def _written(describer: Describer, object_name: str, item: Mapping[str, Any], creating: bool) -> str:
    kind = _type(describer.column(object_name, item["name"]))
    if item["type"] == "id" and not creating:
        return f"{kind}!"
    if not item["createable" if creating else "updateable"]:
        return f"{kind} read_only"
    needed = creating and not item["nillable"] and not item.get("defaultedOnCreate") and item["type"] != "boolean"
    return f"{kind}!" if needed else kind


def _type(column: Column) -> str:
    if column.kind in ("id", "reference"):
        return f"text({ID_LENGTH})"
    refined = (column.field.metadata or {}).get(b"dative.type")
    if refined is not None:
        return str(refined.decode())
    kind = str(data_type(column.arrow))
    return f"text({column.length})" if kind == "text" and column.length else kind
