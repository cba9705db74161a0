"""What an object and a field are, and how `describe` shows them. The seed objects stand in objects.py."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Row = dict[str, Any]
"""A record: canonical field name to JSON value. Rows are never changed in place; a change is a new row, so that a page
behind a locator goes on showing the snapshot it was read from."""

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "address": "urn:address",
    "base64": "xsd:base64Binary",
}
NUMBERS = frozenset({"int", "double", "currency", "percent", "long"})
UNQUOTED = NUMBERS | {"boolean", "date", "datetime", "time"}


@dataclass(frozen=True)
class Field:
    """One field. `formula` computes the value from the row on every write; such a field takes no value from a client."""

    name: str
    type: str = "string"
    label: str = ""
    length: int = 255
    required: bool = False
    createable: bool = True
    updateable: bool = True
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    external_id: bool = False
    unique: bool = False
    id_lookup: bool = False
    name_field: bool = False
    compound: str | None = None
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    scale: int = 2
    default: Any = None
    hidden: bool = False
    formula: Callable[[Row], Any] | None = None
    formula_text: str | None = None

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def calculated(self) -> bool:
        return self.formula is not None

    def describe(self) -> dict[str, Any]:
        text = self.type not in UNQUOTED and self.type not in ("address", "base64")
        length = 18 if self.type in ("id", "reference") else self.length if text else 0
        number = self.type in NUMBERS and self.type != "int"
        return {
            "aggregatable": self.filterable,
            "autoNumber": False,
            "byteLength": length * 3 if text else 0,
            "calculated": self.calculated,
            "calculatedFormula": self.formula_text,
            "caseSensitive": False,
            "compoundFieldName": self.compound,
            "createable": self.createable and not self.calculated,
            "custom": self.custom,
            "defaultedOnCreate": self.default is not None,
            "digits": 9 if self.type == "int" else 0,
            "encrypted": False,
            "externalId": self.external_id,
            "filterable": self.filterable,
            "groupable": self.groupable,
            "htmlFormatted": False,
            "idLookup": self.id_lookup,
            "label": self.label or self.name,
            "length": length,
            "name": self.name,
            "nameField": self.name_field,
            "nillable": not self.required and self.type not in ("id", "boolean"),
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
                for value in self.picklist
            ],
            "polymorphicForeignKey": len(self.reference_to) > 1,
            "precision": 18 if number else 0,
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship,
            "restrictedPicklist": self.restricted,
            "scale": self.scale if number else 0,
            "soapType": _SOAP_TYPES.get(self.type, "xsd:string"),
            "sortable": self.sortable,
            "type": self.type,
            "unique": self.unique,
            "updateable": self.updateable and not self.calculated,
        }


@dataclass(frozen=True)
class ChildRelationship:
    name: str
    child: str
    field: str
    cascade_delete: bool = False


@dataclass(frozen=True)
class ObjectType:
    """One object. fields: canonical name to field, in describe's order."""

    name: str
    key_prefix: str | None
    fields: dict[str, Field]
    label: str = ""
    label_plural: str = ""
    queryable: bool = True
    writable: bool = True
    filter_required: tuple[str, ...] = ()
    children: tuple[ChildRelationship, ...] = ()
    by_lower: dict[str, Field] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.by_lower.update({name.lower(): found for name, found in self.fields.items() if not found.hidden})

    @property
    def custom(self) -> bool:
        return self.name.endswith(("__c", "__e"))

    @property
    def visible(self) -> list[Field]:
        return list(self.by_lower.values())

    def field(self, name: str) -> Field | None:
        """The visible field of that name, in any case."""
        return self.by_lower.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """The reference field that this relationship name follows, in any case."""
        wanted = relationship.lower()
        return next((f for f in self.visible if f.relationship and f.relationship.lower() == wanted), None)

    def child(self, relationship: str) -> ChildRelationship | None:
        wanted = relationship.lower()
        return next((c for c in self.children if c.name.lower() == wanted), None)

    def with_fields(self, fields: Iterable[Field]) -> "ObjectType":
        return replace(self, fields={f.name: f for f in fields})

    def summary(self, base: str) -> dict[str, Any]:
        url = f"{base}/sobjects/{self.name}"
        return {
            "activateable": False,
            "createable": self.writable,
            "custom": self.custom,
            "customSetting": False,
            "deletable": self.writable,
            "deprecatedAndHidden": False,
            "feedEnabled": False,
            "keyPrefix": self.key_prefix,
            "label": self.label or self.name,
            "labelPlural": self.label_plural or f"{self.label or self.name}s",
            "layoutable": self.queryable,
            "mergeable": self.name in ("Account", "Contact", "Lead", "Case"),
            "mruEnabled": self.queryable,
            "name": self.name,
            "queryable": self.queryable,
            "replicateable": self.queryable and self.writable,
            "retrieveable": self.queryable,
            "searchable": self.queryable,
            "triggerable": self.writable,
            "undeletable": self.writable,
            "updateable": self.writable,
            "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
        }

    def describe(self, base: str) -> dict[str, Any]:
        return {
            **self.summary(base),
            "childRelationships": [
                {
                    "cascadeDelete": child.cascade_delete,
                    "childSObject": child.child,
                    "deprecatedAndHidden": False,
                    "field": child.field,
                    "relationshipName": child.name,
                }
                for child in self.children
            ],
            "fields": [found.describe() for found in self.visible],
            "recordTypeInfos": [
                {
                    "active": True,
                    "available": True,
                    "defaultRecordTypeMapping": True,
                    "master": True,
                    "name": "Master",
                    "recordTypeId": "012000000000000AAA",
                }
            ],
        }
