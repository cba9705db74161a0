"""The objects that every new org has: the standard ones as far as integrations use them, and one of each awkward kind.

Awkward on purpose: Legacy_Log__c has a SystemModstamp that can not be filtered, AccountChangeEvent can not be queried,
ContentDocumentLink wants a filter, Task refers to several kinds of parent, AccountHistory is read only.
"""

from typing import Any

from dative_sandbox.salesforce.schema import ChildRelationship, Field, ObjectType, Row

CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "XTS")
_ADDRESS_PARTS = ("Street", "City", "State", "PostalCode", "Country")


def text(name: str, length: int = 255, **options: Any) -> Field:
    return Field(name, "string", length=length, **options)


def reference(name: str, to: tuple[str, ...], relationship: str, **options: Any) -> Field:
    return Field(name, "reference", reference_to=to, relationship=relationship, length=18, **options)


def _read_only(name: str, type_: str, **options: Any) -> Field:
    return Field(name, type_, createable=False, updateable=False, **options)


def system_fields(*, modstamp_filterable: bool = True) -> list[Field]:
    user = ("User",)
    return [
        _read_only("Id", "id", id_lookup=True, length=18),
        _read_only("IsDeleted", "boolean", default=False),
        _read_only("CreatedDate", "datetime"),
        _read_only("CreatedById", "reference", reference_to=user, relationship="CreatedBy"),
        _read_only("LastModifiedDate", "datetime"),
        _read_only("LastModifiedById", "reference", reference_to=user, relationship="LastModifiedBy"),
        _read_only("SystemModstamp", "datetime", filterable=modstamp_filterable),
    ]


def address(name: str) -> list[Field]:
    """A compound address and its parts. The compound can be read but neither filtered nor written."""
    prefix = name.removesuffix("Address")
    parts = [text(prefix + part, compound=name) for part in _ADDRESS_PARTS]
    return [*parts, _read_only(name, "address", filterable=False, sortable=False, groupable=False)]


def address_value(row: Row, name: str) -> Row | None:
    """The compound value of an address field, from its parts; None when every part is empty."""
    prefix = name.removesuffix("Address")
    value = {part[0].lower() + part[1:]: row.get(prefix + part) for part in _ADDRESS_PARTS}
    if not any(value.values()):
        return None
    return {**value, "geocodeAccuracy": None, "latitude": None, "longitude": None}


def _full_name(row: Row) -> str:
    return " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)


def person_name() -> list[Field]:
    return [
        text("LastName", 80, required=True),
        text("FirstName", 40),
        text("Name", 121, name_field=True, formula=_full_name, formula_text=None),
    ]


def _of(name: str, prefix: str | None, fields: list[Field], **options: Any) -> ObjectType:
    modstamp = options.pop("modstamp_filterable", True)
    every = [*system_fields(modstamp_filterable=modstamp), *fields]
    return ObjectType(name, prefix, {f.name: f for f in every}, **options)


def _is_large(row: Row) -> bool:
    return (row.get("AnnualRevenue") or 0) >= 1_000_000


def seed_objects() -> dict[str, ObjectType]:
    owner = reference("OwnerId", ("User",), "Owner", default="owner")
    currency = Field("CurrencyIsoCode", "picklist", length=3, picklist=CURRENCIES, default="EUR")
    account = _of(
        "Account",
        "001",
        [
            text("Name", required=True, name_field=True),
            Field("Type", "picklist", picklist=("Customer", "Prospect", "Partner")),
            Field("Industry", "picklist", picklist=("Healthcare", "Banking", "Energy", "Retail", "Technology")),
            Field("AnnualRevenue", "currency"),
            currency,
            text("FirstName", 40),
            text("LastName", 80),
            Field("Phone", "phone", length=40),
            Field("Website", "url"),
            Field("NumberOfEmployees", "int"),
            Field("Description", "textarea", length=32000, filterable=False, sortable=False, groupable=False),
            *address("BillingAddress"),
            reference("ParentId", ("Account",), "Parent"),
            owner,
            text("Customer_Since__c", 20),
            text("Credit_Limit__c", 40),
            text("ERP_Id__c", 40, external_id=True, unique=True, id_lookup=True),
            text("Region_Code__c", 10, external_id=True),
            Field("Interests__c", "multipicklist", length=4099, picklist=("Bulk", "Cloud", "Support", "Training")),
            Field("Tier__c", "picklist", picklist=("Gold", "Silver", "Bronze"), restricted=True),
            Field("Last_Audit__c", "date"),
            _read_only("Is_Large__c", "boolean", formula=_is_large, formula_text="AnnualRevenue >= 1000000"),
        ],
        label_plural="Accounts",
        children=(
            ChildRelationship("Contacts", "Contact", "AccountId"),
            ChildRelationship("Opportunities", "Opportunity", "AccountId", cascade_delete=True),
            ChildRelationship("ChildAccounts", "Account", "ParentId"),
            ChildRelationship("Invoices__r", "Invoice__c", "Account__c", cascade_delete=True),
            ChildRelationship("Tasks", "Task", "WhatId"),
        ),
    )
    contact = _of(
        "Contact",
        "003",
        [
            *person_name(),
            Field("Email", "email", length=80, id_lookup=True),
            Field("Phone", "phone", length=40),
            reference("AccountId", ("Account",), "Account"),
            owner,
        ],
        children=(ChildRelationship("Tasks", "Task", "WhoId"),),
    )
    opportunity = _of(
        "Opportunity",
        "006",
        [
            text("Name", 120, required=True, name_field=True),
            Field("StageName", "picklist", required=True, picklist=("Prospecting", "Negotiation", "Closed Won")),
            Field("CloseDate", "date", required=True),
            Field("Amount", "currency"),
            Field("Probability", "percent"),
            currency,
            reference("AccountId", ("Account",), "Account"),
            owner,
        ],
        label_plural="Opportunities",
    )
    lead = _of("Lead", "00Q", [*person_name(), text("Company", required=True), Field("Email", "email"), owner])
    case = _of(
        "Case", "500", [text("Subject"), Field("Status", "picklist"), reference("AccountId", ("Account",), "Account")]
    )
    task = _of(
        "Task",
        "00T",
        [
            text("Subject"),
            Field("Status", "picklist", default="Not Started"),
            Field("ActivityDate", "date"),
            Field("IsArchived", "boolean", createable=False, updateable=False, default=False),
            reference("WhoId", ("Contact", "Lead"), "Who"),
            reference("WhatId", ("Account", "Opportunity", "Case"), "What"),
            owner,
        ],
    )
    user = _of(
        "User",
        "005",
        [
            *person_name(),
            text("Username", 80, required=True, unique=True, id_lookup=True),
            Field("Email", "email", required=True),
            Field("IsActive", "boolean", default=True),
            text("TimeZoneSidKey", 40),
        ],
    )
    invoice = _of(
        "Invoice__c",
        "a00",
        [
            text("Name", 80, required=True, name_field=True),
            reference("Account__c", ("Account",), "Account__r"),
            Field("Amount__c", "currency"),
            text("Number__c", 40, external_id=True, unique=True, id_lookup=True),
        ],
        label="Invoice",
    )
    legacy = _of(
        "Legacy_Log__c", "a01", [text("Name", 80, name_field=True)], label="Legacy Log", modstamp_filterable=False
    )
    history = _of(
        "AccountHistory",
        "017",
        [reference("AccountId", ("Account",), "Account"), text("Field"), text("OldValue"), text("NewValue")],
        writable=False,
    )
    link = _of(
        "ContentDocumentLink",
        "06A",
        [text("ContentDocumentId", 18), reference("LinkedEntityId", ("Account", "Opportunity"), "LinkedEntity")],
        filter_required=("ContentDocumentId", "LinkedEntityId"),
    )
    status = _of("TaskStatus", "01T", [text("ApiName"), Field("IsClosed", "boolean")], writable=False)
    change = _of("AccountChangeEvent", None, [text("ReplayId")], queryable=False, writable=False)
    # What a reference to several kinds of object shows of its target: the fields that all of them share.
    name = ObjectType(
        "Name", None, {f.name: f for f in (_read_only("Id", "id"), text("Name", name_field=True))}, queryable=False
    )
    every = (
        account,
        contact,
        opportunity,
        lead,
        case,
        task,
        user,
        invoice,
        legacy,
        history,
        link,
        status,
        change,
        name,
    )
    return {found.name: found for found in every}
