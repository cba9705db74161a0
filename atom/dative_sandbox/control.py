"""The control plane of a simulated org: JSON over HTTP on a port of its own, never under /services.

One row of a table a command; each takes a JSON object and returns one. In a test the same things are one call away on the
sandbox's own handle; this is for other processes: demonstrations, shells, tests in other languages.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from dative.errors.base import DativeError
from dative.errors.sandbox import BadCommand
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dative_sandbox.salesforce.clock import parse_time, stamp_millis
from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.faults import Fault
from dative_sandbox.salesforce.objects import text
from dative_sandbox.salesforce.schema import ObjectType, Row

if TYPE_CHECKING:
    from dative_sandbox.server import SalesforceSandbox

Body = Mapping[str, Any]
Command = Callable[[Body], Any]
BODY_BYTES_MAX = 16 * 1024 * 1024


class Control:
    """The commands on one sandbox. Each raises BadCommand with what is wrong, having changed nothing."""

    def __init__(self, sandbox: "SalesforceSandbox") -> None:
        self.sandbox = sandbox
        self.org = sandbox.org

    def commands(self) -> dict[tuple[str, str], Command]:
        return {
            ("GET", "/"): lambda _: self.sandbox.facts(),
            ("GET", "/expected"): lambda _: self.expected(),
            ("GET", "/counts"): lambda _: self.counts(),
            ("POST", "/reset"): self.reset,
            ("GET", "/clock"): lambda _: self.clock({}),
            ("POST", "/clock"): self.clock,
            ("GET", "/faults"): lambda _: {"faults": [fault.to_json() for fault in self.sandbox.faults.list()]},
            ("POST", "/faults"): self.add_faults,
            ("DELETE", "/faults"): lambda _: self.clear_faults(),
            ("GET", "/limits"): lambda _: self.limits({}),
            ("POST", "/limits"): self.limits,
            ("POST", "/options"): self.options,
            ("POST", "/user"): self.user,
            ("POST", "/app"): self.app,
            ("POST", "/tokens/expire"): lambda _: {"expired": self.org.expire_tokens()},
            ("POST", "/edit"): self.edit,
            ("POST", "/insert"): self.insert,
            ("POST", "/late"): self.late,
            ("POST", "/record"): self.record,
            ("POST", "/lock"): self.lock,
            ("POST", "/schema"): self.schema,
            ("GET", "/journal"): self.journal,
            ("DELETE", "/journal"): lambda _: self.clear_journal(),
        }

    # --- the whole org ------------------------------------------------------------------------------------------------

    def reset(self, body: Body) -> Any:
        """{accounts, seed}: empty the org and seed it again; faults and the journal go too."""
        accounts = _whole(body, "accounts", self.sandbox.accounts)
        expected = self.sandbox.reset(accounts=accounts, seed=_whole(body, "seed", 1))
        return expected.to_json()

    def expected(self) -> Any:
        return self.sandbox.expected.to_json()

    def counts(self) -> Any:
        live = {
            name: sum(not row["IsDeleted"] for row in list(self.org.rows(name)))
            for name, table in self.org.tables.items()
            if table
        }
        return {"records": live, "requests": len(self.sandbox.journal.entries()), "api_used": self.org.limits.used}

    def clock(self, body: Body) -> Any:
        """{advance_s} | {set: time} | {freeze: true} | {run: true}; nothing just tells the time."""
        clock = self.org.clock
        if "advance_s" in body:
            clock.advance(float(body["advance_s"]))
        elif "set" in body:
            at = parse_time(str(body["set"]))
            if at is None:
                raise BadCommand(f"clock: {body['set']!r} is no ISO 8601 time with an offset")
            clock.set(at)
        elif body.get("freeze"):
            clock.freeze()
        elif body.get("run"):
            clock.run()
        return {"now": stamp_millis(clock.now()), "frozen": clock.frozen}

    def limits(self, body: Body) -> Any:
        """{daily_requests_max, concurrent_max, long_request_s, used}."""
        known = ("daily_requests_max", "concurrent_max", "long_request_s", "used")
        _refuse_unknown("limits", body, known)
        for name, value in body.items():
            setattr(self.org.limits, name, value)
        return {name: getattr(self.org.limits, name) for name in known}

    def options(self, body: Body) -> Any:
        """Any switch of OrgOptions by name."""
        options = self.org.options
        known = tuple(f.name for f in dataclass_fields(options))
        _refuse_unknown("options", body, known)
        for name, value in body.items():
            setattr(options, name, parse_time(value) if name == "deleted_log_since" and value else value)
        return {name: str(value) if name == "deleted_log_since" else value for name, value in vars(options).items()}

    def user(self, body: Body) -> Any:
        """{username, active, frozen_out, password, …}: change a user."""
        user = self.org.users.get(str(body.get("username", self.org.main_user.username)))
        if user is None:
            raise BadCommand(f"user {body['username']!r} is unknown; the org has {', '.join(self.org.users)}")
        _refuse_unknown("user", body, tuple(f.name for f in dataclass_fields(user)))
        self.org.users[user.username] = replace(user, **body)
        return {"username": user.username}

    def app(self, body: Body) -> Any:
        """{consumer_key, certificate (PEM), admin_approved, permitted, run_as, rotate_refresh_tokens}: change an app."""
        key = str(body.get("consumer_key", self.sandbox.consumer_key))
        app = self.org.apps.get(key)
        if app is None:
            raise BadCommand(f"connected app {key!r} is unknown; the org has {', '.join(self.org.apps)}")
        changes = {name: value for name, value in body.items() if name != "consumer_key"}
        _refuse_unknown(
            "app",
            changes,
            ("certificate", "admin_approved", "permitted", "run_as", "rotate_refresh_tokens", "callback_urls"),
        )
        if "certificate" in changes:
            changes["public_key_pem"] = str(changes.pop("certificate")).encode()
        if "permitted" in changes:
            changes["permitted"] = frozenset(changes["permitted"])
        if "callback_urls" in changes:
            changes["callback_urls"] = tuple(changes["callback_urls"])
        self.org.add_app(replace(app, **changes))
        return {"consumer_key": key}

    # --- faults and journal -------------------------------------------------------------------------------------------

    def add_faults(self, body: Body) -> Any:
        """One fault as an object, or {faults: [...]}; see faults.py for the fields."""
        made = [Fault.from_json(item) for item in body.get("faults", [body])]
        return {"faults": [self.sandbox.faults.add(fault).to_json() for fault in made]}

    def clear_faults(self) -> Any:
        self.sandbox.faults.clear()
        return {}

    def journal(self, body: Body) -> Any:
        """?path=text: the requests whose path holds it."""
        entries = self.sandbox.journal.to_json(str(body.get("path", "")))
        return {"count": len(entries), "entries": entries}

    def clear_journal(self) -> Any:
        self.sandbox.journal.clear()
        return {}

    # --- records ------------------------------------------------------------------------------------------------------

    def edit(self, body: Body) -> Any:
        """{object, count} changes that many records' Phone or Name; {object, id, fields} changes one record.

        touch: "all" (default), "system" (only SystemModstamp moves), "none" (nothing moves: as a formula drifts).
        where_type: for Accounts, which Type to choose from (default Customer). Returns: the ids.
        """
        kind = self._kind(body)
        touch = str(body.get("touch", "all"))
        if touch not in ("all", "system", "none"):
            raise BadCommand(f"edit: touch {touch!r} is none of all, system, none")
        if "id" in body:
            fields = self._fields(kind, body.get("fields", {}))
            self._existing(kind, str(body["id"]))
            self.org.change(kind.name, str(body["id"]), fields, self.org.main_user.id, touch=touch)
            return {"ids": [body["id"]]}
        ids = self.sandbox.edit(
            kind.name, _whole(body, "count", 1), touch=touch, where_type=str(body.get("where_type", "Customer"))
        )
        return {"ids": ids}

    def insert(self, body: Body) -> Any:
        """{object, fields} or {object, records: [fields…]}: insert without the checks of the API. Returns: the ids."""
        kind = self._kind(body)
        rows = [self._fields(kind, fields) for fields in body.get("records", [body.get("fields", {})])]
        with self.org.lock:
            made = [self.org.complete(kind.name, row, self.org.main_user.id) for row in rows]
            for row in made:
                self.org.put(kind.name, row)
        return {"ids": [row["Id"] for row in made]}

    def late(self, body: Body) -> Any:
        """{object, id?, fields, visible_after_s}: stamped now, visible when that much of the org's time has passed."""
        kind = self._kind(body)
        fields = self._fields(kind, body.get("fields", {}))
        if "id" in body:
            before = self._existing(kind, str(body["id"]))
            now = self.org.complete(kind.name, {"Id": before["Id"]}, self.org.main_user.id)
            row = {
                **before,
                **fields,
                "SystemModstamp": now["SystemModstamp"],
                "LastModifiedDate": now["LastModifiedDate"],
            }
        else:
            row = self.org.complete(kind.name, fields, self.org.main_user.id)
        self.org.commit_late(kind.name, row, float(body.get("visible_after_s", 60)))
        return {"ids": [row["Id"]]}

    def record(self, body: Body) -> Any:
        """{object, id, do: get|delete|undelete|purge|touch}."""
        kind, record_id, user_id = self._kind(body), str(body.get("id")), self.org.main_user.id
        row = self._existing(kind, record_id)
        match body.get("do", "get"):
            case "get":
                return {"record": row}
            case "delete":
                self.org.delete(kind.name, record_id, user_id)
            case "undelete":
                self.org.undelete(kind.name, record_id, user_id)
            case "purge":
                self.org.purge(kind.name, record_id)
            case "touch":
                self.org.change(kind.name, record_id, {}, user_id, touch="system")
            case other:
                raise BadCommand(f"record: {other!r} is none of get, delete, undelete, purge, touch")
        return {"ids": [record_id]}

    def lock(self, body: Body) -> Any:
        """{id, writes}: refuse that many writes of a record with UNABLE_TO_LOCK_ROW; -1 until set to 0."""
        self.org.locked_rows[str(body.get("id"))] = _whole(body, "writes", 1)
        return {}

    def schema(self, body: Body) -> Any:
        """{object, add|remove|hide|show: field}: change the object's fields. add makes a text field."""
        kind = self._kind(body)
        action = next((word for word in ("add", "remove", "hide", "show") if word in body), None)
        if action is None:
            raise BadCommand("schema: say add, remove, hide or show with a field's name")
        name = str(body[action])
        if action == "add":
            self.org.set_field(kind.name, text(name))
            return {}
        if name not in kind.fields:
            raise BadCommand(f"schema: {kind.name} has no field {name}")
        if action == "remove":
            self.org.remove_field(kind.name, name)
        else:
            self.org.set_field(kind.name, replace(kind.fields[name], hidden=action == "hide"))
        return {}

    # --- shared -------------------------------------------------------------------------------------------------------

    def _kind(self, body: Body) -> ObjectType:
        kind = self.org.object(str(body.get("object", "Account")))
        if kind is None:
            raise BadCommand(f"object {body.get('object')!r} is unknown; the org has {', '.join(self.org.schema)}")
        return kind

    def _existing(self, kind: ObjectType, record_id: str) -> Row:
        row = self.org.get(kind.name, record_id)
        if row is None:
            raise BadCommand(f"{kind.name} {record_id!r} does not exist; give its 18-character id")
        return row

    def _fields(self, kind: ObjectType, given: Mapping[str, Any]) -> Row:
        _refuse_unknown(kind.name, given, tuple(kind.fields))
        return dict(given)


def control_app(control: Control) -> Starlette:
    """The commands as an HTTP application; errors answer 400 {code, message, next}."""
    return Starlette(
        routes=[
            Route(path, _endpoint(command), methods=[method]) for (method, path), command in control.commands().items()
        ]
    )


def _endpoint(command: Command) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(command(await _body(request)))
        except DativeError as error:
            return _json({"code": error.code.name, "message": error.message, "next": error.next}, 400)
        except (ApiError, TypeError, ValueError, KeyError) as error:
            wrong = BadCommand(f"{request.url.path}: {error}")
            return _json({"code": wrong.code.name, "message": wrong.message, "next": wrong.next}, 400)

    return endpoint


async def _body(request: Request) -> Body:
    raw = await request.body()
    if len(raw) > BODY_BYTES_MAX:
        raise BadCommand(f"the command is larger than {BODY_BYTES_MAX} bytes; send it in parts")
    if not raw:
        return dict(request.query_params)
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadCommand(f"the command is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadCommand("a command is a JSON object")
    return body


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _whole(body: Body, name: str, default: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadCommand(f"{name} {value!r} is no whole number")
    return value


def _refuse_unknown(what: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadCommand(f"{what} has no {', '.join(unknown)}; it has {', '.join(known)}")
