"""The controller's tables: one schema for SQLite and PostgreSQL.

Times are milliseconds since 1970, UTC. `body` columns hold the protobuf message as it travels; a column beside it
exists where something is searched, ordered or compared by. Invariant 6: no column holds a secret in the clear, tokens
are SHA-256 digests, sealed sets are ciphertext.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True, nullable=False)


def _text(name: str, default: str | None = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _int(name: str, *, default: int | None = 0, primary: bool = False) -> Column[int]:
    kept = None if default is None or primary else str(default)
    return Column(name, BigInteger, nullable=False, primary_key=primary, server_default=kept, autoincrement=False)


def _number(name: str) -> Column[int]:
    """A primary key that the database counts."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=True)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="0")


def _table(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns)


# One row. Its two counters order the audit log and the change feed by commit: every change locks this row first.
organization = _table(
    "organization",
    _key("organization_id"),
    _int("created_ms"),
    _int("store_epoch", default=1),
    _int("revocation_version"),
    _int("audit_sequence"),
    _text("audit_head"),
    _text("ca_pin"),
    _int("change_sequence"),
)

environment = _table(
    "environment",
    _key("environment_id"),
    _text("name"),
    _flag("production"),
    _flag("require_approval"),
    _int("version", default=1),
    _int("created_ms"),
    _text("allows"),
    UniqueConstraint("name"),
)
connection = _table(
    "connection", _key("environment_id"), _key("name"), _text("connector"), _text("settings"), _text("secrets")
)
override = _table("override", _key("environment_id"), _key("name"), _text("value"))
sealed_set = _table(
    "sealed_set", _key("environment_id"), _int("version", primary=True), _text("digest"), _bytes("body"), _int("set_ms")
)
secret_name = _table(
    "secret_name", _key("environment_id"), _key("name"), _int("version"), _int("set_ms"), _text("set_by")
)

atom = _table(
    "atom",
    _key("atom_id"),
    _text("environment_id"),
    _text("molecule_id"),
    _text("name"),
    _text("state"),  # "pending" | "approved" | "revoked" | "quarantined"
    _bytes("description"),
    _bytes("seal_public_key"),
    _bytes("csr"),
    _text("token_id"),
    _text("key_digest"),  # of the enrolled public key: the same key with the same token gets the same answer
    _int("enrolled_ms"),
    _int("last_seen_ms"),
    _text("certificate_serial"),
    _int("certificate_expires_ms"),
    _int("session"),
    _flag("connected"),
    _text("controller_id"),
    _flag("draining"),
    _bytes("observed"),
    _int("phase"),
    _bytes("status"),
    _int("acked_epoch"),
    _int("acked_generation"),
    _bytes("heartbeat"),
    _bytes("components"),
    # The process that was heard of last, and the one before it: when the former comes back, both are alive.
    _text("boot_nonce"),
    _text("former_nonce"),
    _text("instance_id"),
    _text("boot_host"),
    _int("nonce_changed_ms"),
    _text("quarantine"),  # why, when the state is "quarantined"
    UniqueConstraint("environment_id", "name"),
    UniqueConstraint("token_id", "key_digest"),
    Index(None, "environment_id", "molecule_id"),
)
# Those with settings; a molecule without a row is a name that atoms share.
molecule = _table(
    "molecule", _key("environment_id"), _key("name"), _int("version"), _int("created_ms"), _bytes("settings")
)
molecule_status = _table(
    "molecule_status", _key("environment_id"), _key("name"), _int("term"), _int("observed_ms"), _bytes("body")
)
join_token = _table(
    "join_token",
    _key("token_id"),
    _text("environment_id"),
    _text("molecule_id"),
    _text("secret_hash"),
    _int("expires_ms"),
    _int("max_uses", default=1),
    _int("uses"),
    _flag("require_approval"),
    _text("created_by"),
)
command = _table(
    "command",
    _key("command_id"),
    _text("atom_id"),
    _text("state"),  # "pending" | "delivered" | "done"
    _bytes("body"),
    _int("expires_ms"),
    _bytes("result"),
    _text("created_by"),
    Index(None, "atom_id", "state"),
    Index(None, "expires_ms"),
)

trust_document = _table("trust_document", _int("version", primary=True), _bytes("envelope"), _int("created_ms"))
blob = _table("blob", _key("digest"), _int("size"), _int("created_ms"), _text("created_by"))
deployment = _table(
    "deployment",
    _key("deployment_id"),
    _text("environment_id"),
    _text("molecule_id"),
    _int("release_epoch"),
    _int("generation"),
    _text("manifest_digest"),
    _bytes("envelope"),
    _text("kind"),
    _text("created_by"),
    _int("created_ms"),
    _text("reason"),
    _text("processes"),
    _text("atom_ids"),  # JSON list, "" for every atom of the molecule
    _text("traceparent"),
    _int("rollback_of"),
    UniqueConstraint("environment_id", "molecule_id", "release_epoch", "generation"),
)
deployment_blob = _table("deployment_blob", _key("deployment_id"), _key("digest"), Index(None, "digest"))
desired_state = _table("desired_state", _key("environment_id"), _key("molecule_id"), _text("deployment_id"))
# A deployment that goes member by member; without a row it went to every atom at once.
rollout = _table(
    "rollout",
    _key("deployment_id"),
    _text("environment_id"),
    _text("molecule_id"),
    _text("base_id"),  # the deployment that ran before: what members have until it is their turn
    _text("state"),  # "rolling" | "done" | "halted" | "returned" | "superseded"
    _text("reason"),
    _text("failed_atom_id"),
    _int("max_unavailable", default=1),
    _int("gate_ms"),
    _int("activate_ms"),
    _bytes("return_envelope"),
    _int("return_until_ms"),
    _int("returned_as"),
    Index(None, "state"),
)
rollout_member = _table(
    "rollout_member",
    _key("deployment_id"),
    _key("atom_id"),
    _text("step"),  # "activating" | "gating" | "passed" | "failed"
    _int("admitted_ms"),
    _int("active_ms"),
)
atom_ack = _table("atom_ack", _key("deployment_id"), _key("atom_id"), _int("phase"), _bytes("status"), _int("at_ms"))

execution = _table(
    "execution",
    _key("execution_id"),
    _text("environment_id"),
    _text("atom_id"),
    _text("process"),
    _int("state"),
    _int("attempt"),
    _int("documents_read"),
    _int("started_ms"),
    _int("reported_ms"),
    _text("trace_id"),
    _bytes("body"),
    _int("fencing_token"),
    Index(None, "environment_id", "process"),
    Index(None, "trace_id"),
)
# Who had an execution when: one row an assignment and attempt, told by its owner or by those who took over.
execution_attempt = _table(
    "execution_attempt",
    _key("execution_id"),
    _int("fencing_token", primary=True),
    _int("attempt", primary=True),
    _text("atom_id"),
    _int("state"),
    _int("started_ms"),
    _int("ended_ms"),
    _text("reason"),
    _text("trace_id"),
)
dead_letter = _table(
    "dead_letter",
    _key("dead_letter_id"),
    _text("environment_id"),
    _text("atom_id"),
    _text("execution_id"),
    _text("process"),
    _text("code"),
    _text("state"),
    _int("state_rank"),
    _int("attempts"),
    _int("document"),
    _int("expires_ms"),
    _bytes("body"),
    _text("queue"),
    _text("assignee"),
    _int("created_ms"),
    _int("revision"),
    Index(None, "execution_id"),
    Index(None, "environment_id", "state", "dead_letter_id"),
)
span = _table(
    "span",
    _key("trace_id"),
    _key("span_id"),
    _text("parent_span_id"),
    _text("name"),
    _text("kind"),
    _int("start_ns"),
    _int("end_ns"),
    _text("service"),
    _text("instance"),
    _flag("error"),
    _text("status_message"),
    _text("attributes"),
    _text("links"),
    Index(None, "start_ns"),
)
# Where documents came to rest, as atoms send it: some thousand documents a part. The body stands apart, so that parts
# are filtered without reading it. `number` rises with every part that arrives.
tracked_part = _table(
    "tracked_part",
    _number("number"),
    _text("execution_id"),
    _int("batch"),
    _int("part"),
    _text("atom_id"),
    _text("environment_id"),
    _text("process"),
    _int("process_version"),
    _int("attempt"),
    _int("rows"),
    _int("settled_ms"),
    _int("received_ms"),
    UniqueConstraint("execution_id", "batch", "part", "atom_id"),
    Index(None, "received_ms"),
)
tracked_body = _table("tracked_body", _int("number", primary=True), _bytes("body"))
tracked_fresh = _table("tracked_fresh", _int("number", primary=True), _int("rows"))  # parts that no segment covers yet
tracked_hashing = _table("tracked_hashing", _key("environment_id"))  # it has parts with hashed keys
# The index over the keys of parts: see reporting/index.py for the form of a page.
tracked_segment = _table(
    "tracked_segment",
    _key("segment_id"),
    _int("level"),
    _int("stride"),
    _int("ordinal_bytes"),
    _int("entries"),
    _int("first_number"),
    _int("last_number"),
)
tracked_page = _table("tracked_page", _key("segment_id"), _int("bucket", primary=True), _bytes("body"))
event = _table(
    "event",
    _key("atom_id"),
    _key("spool_epoch"),
    _int("sequence", primary=True),
    _text("kind"),
    _int("occurred_ms"),
    _bytes("body"),
    Index(None, "occurred_ms"),
)
spool_position = _table(
    "spool_position", _key("atom_id"), _key("spool_epoch"), _int("committed_sequence"), _int("updated_ms")
)

user = _table("account", _key("subject"), _int("created_ms"), _flag("disabled"))
role_binding = _table("role_binding", _key("subject"), _key("role"), _key("environment_id"))  # "" = the organization
refresh_token = _table(
    "refresh_token",
    _key("token_hash"),
    _text("family"),
    _text("subject"),
    _int("expires_ms"),
    _flag("used"),
    _flag("revoked"),
    Index(None, "family"),
)
bootstrap_token = _table("bootstrap_token", _key("token_hash"), _int("expires_ms"), _flag("used"))
audit = _table(
    "audit",
    _int("sequence", primary=True),
    _int("at_ms"),
    _text("actor"),
    _text("action"),
    _text("object"),
    _text("decision"),
    _text("request_digest"),
    _text("previous_hash"),
    _text("hash"),
)
answered_request = _table(
    "answered_request",
    _key("request_id"),
    _key("actor"),
    _text("method"),
    _text("request_digest"),
    _bytes("response"),
    _int("at_ms"),
    Index(None, "at_ms"),
)
# What other controllers and this one's own streams must hear of, in commit order.
change = _table(
    "change",
    _int("sequence", primary=True),
    _text("kind"),  # "trust" | "desired" | "command" | "atom" | "molecule"
    _text("environment_id"),
    _text("molecule_id"),
    _text("atom_id"),
    _int("at_ms"),
)
