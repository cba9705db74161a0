"""Salesforce: settings of a connection and options of its operations."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from dative_atom.connectors.spec import ConnectorSpec, Duration, OperationSpec, Settings, describe

API_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
FIELD_PATH = r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*){0,5}$"


class SalesforceSettings(Settings):
    """One org and the user whose rights apply. Source: "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration"."""

    login_url: str = describe(
        "Where to log in: https://login.salesforce.com, https://test.salesforce.com (sandboxes) or the My Domain address.",
        default="https://login.salesforce.com",
        pattern=r"^https?://[^/\s]+/?$",
    )
    audience: str = describe(
        "The `aud` claim. Empty takes https://test.salesforce.com for sandboxes (test.… or ….sandbox.my.…), "
        "else https://login.salesforce.com; Experience Cloud logins need their own address here.",
        default="",
    )
    client_id: str = describe("Consumer key of the connected app or External Client App.", min_length=1)
    username: str = describe("The integration user; the app must be pre-authorised for it.", min_length=1)
    api_version: str = describe("API version that every call names.", default="67.0", pattern=r"^\d{2,3}\.0$")
    timeout: Duration = describe("Longest silence of one call before it counts as lost.", default="60s")
    calls_reserve: float = describe(
        "Share of the org's 24-hour API calls left to other applications: the run pauses before it would use them.",
        default=0.05,
        ge=0,
        lt=1,
    )
    ca_file: str = describe("PEM file of certificate authorities to trust instead of the system's.", default="")
    proxy: str = describe("HTTP proxy for every call, as http://host:port; empty connects directly.", default="")


class Incremental(Settings):
    """Reads only what changed since the saved position, bounded by the server's own clock."""

    field: Literal["SystemModstamp", "LastModifiedDate", "CreatedDate"] = describe(
        "The time field that moves forward. SystemModstamp also sees changes made by the system.",
        default="SystemModstamp",
    )
    overlap: Duration = describe(
        "How far each window reaches back behind the last one, to catch records that were stamped before they became "
        "visible; what was delivered already is not delivered again.",
        default="5m",
    )
    lag: Duration = describe("How far each window stays behind the server's clock.", default="0s")
    deletes: Literal["ignore", "include"] = describe(
        "include: deleted records still in the recycle bin come too, with IsDeleted true.", default="ignore"
    )


class QueryOptions(Settings):
    """Reads one object through the REST API."""

    object: str = describe("API name of the object, as Account or Invoice__c.", pattern=API_NAME)
    fields: tuple[str, ...] = describe(
        "Fields and parent paths (Owner.Name), in the order of the columns.", min_length=1
    )
    where: str = describe(
        "SOQL condition; :lastRunDate, :lastSuccessDate, :watermark and :parameters are bound safely.", default=""
    )
    incremental: Incremental | None = describe("Read what changed only; without it everything is read.", default=None)
    order: tuple[str, ...] = describe(
        'ORDER BY of a full read, as ["Name", "CreatedDate DESC"]. An ordered read starts over after a crash.',
        default=(),
    )
    all_rows: bool = describe("Also read deleted and archived records (queryAll).", default=False)
    page_rows: int = describe("Rows asked for per page; Salesforce may send fewer.", default=2000, ge=200, le=2000)

    @field_validator("fields")
    @classmethod
    def _fields_are_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if not re.match(FIELD_PATH, name)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: no field or parent path")
        lower = [name.lower() for name in value]
        twice = sorted({name for name in value if lower.count(name.lower()) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: named twice")
        return value

    @property
    def delivered(self) -> list[str]:
        """The process' fields; with deletes, IsDeleted too, or nobody could tell them apart."""
        names = list(self.fields)
        wants_deletes = self.incremental is not None and self.incremental.deletes == "include"
        if wants_deletes and "isdeleted" not in (name.lower() for name in names):
            names.append("IsDeleted")
        return names


SPEC = ConnectorSpec(
    doc="Salesforce orgs through the REST API with OAuth 2.0 JWT bearer: no password, no browser.",
    settings=SalesforceSettings,
    secrets={"private_key": "PEM of the RSA private key whose certificate the connected app holds."},
    required_secrets=("private_key",),
    operations={
        "query": OperationSpec(
            kind="source",
            doc="Read the records of one object: everything, or what changed since the last run.",
            options=QueryOptions,
            idempotent=True,
            divisible=True,
        )
    },
)
