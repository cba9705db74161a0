"""The state of one simulated org: its objects, records, people, apps, tokens and counters.

Everything that is remembered lives here; who may write what is decided in records.py, who gets in in oauth.py. One
re-entrant lock guards it all: a request holds it while it reads or writes, so that threads see whole states only.
"""

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dative_sandbox.salesforce.clock import VirtualClock, stamp
from dative_sandbox.salesforce.ids import IdFactory
from dative_sandbox.salesforce.limits import Limits
from dative_sandbox.salesforce.objects import seed_objects
from dative_sandbox.salesforce.schema import Field, ObjectType, Row

ORG_ID = "00D5f0000000001EAA"
INSTANCE_HOST = "dative-sandbox.my.salesforce.com"
OLDEST_VERSION, NEWEST_VERSION, SOAP_LOGIN_NEWEST = 31, 67, 64


@dataclass(frozen=True)
class User:
    """A person who can log in. `frozen_out`: the org has locked this user's login."""

    id: str
    username: str
    password: str
    security_token: str
    email: str
    first_name: str = "Ida"
    last_name: str = "Integration"
    active: bool = True
    frozen_out: bool = False
    timezone: str = "UTC"


@dataclass(frozen=True)
class ConnectedApp:
    """A registered client. public_key_pem: certificate or public key that JWT assertions are verified with.

    admin_approved: only `permitted` users get in without asking; else each user must have approved it once.
    rotate_refresh_tokens: a refresh hands out a new refresh token and kills the old one.
    """

    consumer_key: str
    consumer_secret: str
    public_key_pem: bytes | None = None
    callback_urls: tuple[str, ...] = ("https://localhost/callback",)
    admin_approved: bool = True
    permitted: frozenset[str] = frozenset()
    run_as: str | None = None
    rotate_refresh_tokens: bool = False


@dataclass(frozen=True)
class Session:
    token: str
    user_id: str
    consumer_key: str | None
    expires_at: datetime
    scope: str = "api refresh_token"
    rest_allowed: bool = True


@dataclass
class OrgOptions:
    """Switches of behaviours that differ between orgs, or that the vendor does not document. All may change at run time.

    locator_ttl_s: idle life of a query locator. session_ttl_s: life of an access token. logins_per_hour: per user.
    soap_login: the org's own switch; v65 and above never have it. token_style: "opaque", or "jwt", whose rejection reads
    differently. instance_url: what tokens point to; empty means the address the sandbox listens on.
    """

    session_ttl_s: float = 7200
    locator_ttl_s: float = 900
    logins_per_hour: int = 3600
    soap_login: bool = True
    token_style: str = "opaque"
    sessions_valid_for_rest: bool = True
    ip_restricted: bool = False
    duplicate_rule: bool = False
    deleted_log_since: datetime | None = None
    instance_url: str = ""
    page_rows_max: int = 2000
    locators_max: int = 500


@dataclass(frozen=True)
class LateCommit:
    """A row that was stamped when it was written and becomes visible when its transaction commits."""

    visible_at: datetime
    object: str
    row: Row


@dataclass
class Org:
    """See the module. `own_url` is filled in by the server once it listens."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    options: OrgOptions = field(default_factory=OrgOptions)
    own_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.limits = Limits(self.clock)
        self.users: dict[str, User] = {}
        self.apps: dict[str, ConnectedApp] = {}
        self.wipe()

    def wipe(self) -> None:
        """Back to an org without records and tokens. Users, apps and options stay."""
        with self.lock:
            self.ids = IdFactory()
            self.schema: dict[str, ObjectType] = seed_objects()
            self.tables: dict[str, dict[str, Row]] = {name: {} for name in self.schema}
            self.schema_changed_at = self.clock.now()
            self.sessions: dict[str, Session] = {}
            self.refresh_tokens: dict[str, Session] = {}
            self.codes: dict[str, dict[str, Any]] = {}
            self.logins: dict[str, list[datetime]] = {}
            self.deleted: list[tuple[str, str, str]] = []
            self.late: list[LateCommit] = []
            self.locked_rows: dict[str, int] = {}
            self.limits.used = 0
            for user in list(self.users.values()):
                self.add_user(user)

    # --- people, apps, tokens -----------------------------------------------------------------------------------------

    def add_user(self, user: User) -> User:
        """Register a user; an empty id gets one. The User record that queries see is written with it."""
        with self.lock:
            user = replace(user, id=user.id or self.ids.new("005"))
            self.users[user.username] = user
            fields = {
                "FirstName": user.first_name,
                "LastName": user.last_name,
                "Username": user.username,
                "Email": user.email,
                "IsActive": user.active,
                "TimeZoneSidKey": user.timezone,
            }
            self.put("User", self.complete("User", {"Id": user.id, **fields}, user.id))
            return user

    def add_app(self, app: ConnectedApp) -> None:
        with self.lock:
            self.apps[app.consumer_key] = app

    def user_by_id(self, user_id: str) -> User:
        return next(user for user in self.users.values() if user.id == user_id)

    @property
    def main_user(self) -> User:
        return next(iter(self.users.values()))

    @property
    def instance_url(self) -> str:
        return self.options.instance_url or self.own_url

    def open_session(self, user: User, app: ConnectedApp | None, scope: str = "api refresh_token") -> Session:
        with self.lock:
            shape = secrets.token_urlsafe(48)
            token = f"{ORG_ID[:15]}!{shape}" if self.options.token_style == "opaque" else f"eyJ0eXAi.{shape}.sig"
            session = Session(
                token,
                user.id,
                app.consumer_key if app else None,
                self.clock.now() + timedelta(seconds=self.options.session_ttl_s),
                scope,
                self.options.sessions_valid_for_rest,
            )
            self.sessions[token] = session
            return session

    def session(self, token: str) -> Session | None:
        """The live session of a token, or None."""
        found = self.sessions.get(token)
        return found if found is not None and found.expires_at > self.clock.now() else None

    def expire_tokens(self) -> int:
        """Kill every access token; refresh tokens live on. Returns: how many died."""
        with self.lock:
            count = len(self.sessions)
            self.sessions.clear()
            return count

    # --- records ------------------------------------------------------------------------------------------------------

    def object(self, name: str) -> ObjectType | None:
        found = self.schema.get(name)
        if found is not None:
            return found
        wanted = name.lower()
        return next((o for o in self.schema.values() if o.name.lower() == wanted), None)

    def object_of_id(self, record_id: str) -> ObjectType | None:
        prefix = record_id[:3]
        return next((o for o in self.schema.values() if o.key_prefix == prefix), None)

    def complete(self, object_name: str, fields: Row, user_id: str, at: datetime | None = None) -> Row:
        """A whole new row: every field of the object, defaults, stamps and formulas. It is not stored yet."""
        kind = self.schema[object_name]
        row: Row = {name: found.default for name, found in kind.fields.items()}
        if row.get("OwnerId") == "owner":
            row["OwnerId"] = user_id
        now = stamp(at or self.clock.now())
        row |= {"CreatedDate": now, "CreatedById": user_id, "LastModifiedDate": now, "LastModifiedById": user_id}
        row["SystemModstamp"] = now
        row |= fields
        if not row["Id"]:
            row["Id"] = self.ids.new(kind.key_prefix or "000")
        return self.with_formulas(kind, row)

    def with_formulas(self, kind: ObjectType, row: Row) -> Row:
        for found in kind.fields.values():
            if found.formula is not None:
                row[found.name] = found.formula(row)
        return row

    def put(self, object_name: str, row: Row) -> None:
        self.tables[object_name][row["Id"]] = row

    def get(self, object_name: str, record_id: str) -> Row | None:
        self.settle()
        return self.tables[object_name].get(record_id)

    def rows(self, object_name: str) -> Iterable[Row]:
        """Every visible row in the order of creation, deleted ones included."""
        self.settle()
        return self.tables[object_name].values()

    def change(self, object_name: str, record_id: str, fields: Row, user_id: str, *, touch: str = "all") -> Row:
        """A new version of a row. touch: "all" stamps it, "system" moves only SystemModstamp, "none" moves nothing."""
        with self.lock:
            kind = self.schema[object_name]
            row = {**self.tables[object_name][record_id], **fields}
            now = stamp(self.clock.now())
            if touch != "none":
                row["SystemModstamp"] = now
            if touch == "all":
                row |= {"LastModifiedDate": now, "LastModifiedById": user_id}
                row = self.with_formulas(kind, row)
            self.put(object_name, row)
            return row

    def delete(self, object_name: str, record_id: str, user_id: str) -> None:
        """Move a record to the recycle bin, cascading to the children that go with it."""
        with self.lock:
            self.change(object_name, record_id, {"IsDeleted": True}, user_id)
            self.deleted.append((object_name, record_id, stamp(self.clock.now())))
            for child in self.schema[object_name].children:
                if child.cascade_delete:
                    for row in [
                        r for r in self.rows(child.child) if r[child.field] == record_id and not r["IsDeleted"]
                    ]:
                        self.delete(child.child, row["Id"], user_id)

    def undelete(self, object_name: str, record_id: str, user_id: str) -> None:
        with self.lock:
            self.change(object_name, record_id, {"IsDeleted": False}, user_id)
            self.deleted = [entry for entry in self.deleted if entry[1] != record_id]

    def purge(self, object_name: str, record_id: str) -> None:
        """Take a record out of the recycle bin for good: queryAll no longer sees it, the deleted log still does."""
        with self.lock:
            self.tables[object_name].pop(record_id, None)

    def commit_late(self, object_name: str, row: Row, visible_after_s: float) -> None:
        """Stamp a row now and show it only after that many seconds of the org's clock."""
        with self.lock:
            self.late.append(LateCommit(self.clock.now() + timedelta(seconds=visible_after_s), object_name, row))

    def settle(self) -> None:
        """Make the late commits visible whose time has come."""
        if not self.late:
            return
        with self.lock:
            now = self.clock.now()
            for late in [entry for entry in self.late if entry.visible_at <= now]:
                self.put(late.object, late.row)
                self.late.remove(late)

    # --- schema -------------------------------------------------------------------------------------------------------

    def set_field(self, object_name: str, changed: Field) -> None:
        """Add a field or put another in its place; rows get its default."""
        with self.lock:
            kind = self.schema[object_name]
            self.schema[object_name] = kind.with_fields({**kind.fields, changed.name: changed}.values())
            self.schema_changed_at = self.clock.now()
            table = self.tables[object_name]
            for record_id, row in list(table.items()):
                table[record_id] = {changed.name: changed.default, **row}

    def remove_field(self, object_name: str, name: str) -> None:
        with self.lock:
            kind = self.schema[object_name]
            self.schema[object_name] = kind.with_fields(f for f in kind.fields.values() if f.name != name)
            self.schema_changed_at = self.clock.now()
