"""The tables of the journal in PostgreSQL: how they began, and each step to what they are now.

A version is one number for both stores: what SQLite's version 11 has, this one began with. Texts compare by their bytes,
as in SQLite, whatever the database was made with.
"""

from __future__ import annotations

from typing import Final

from dative_atom.journal.sqlite_schema import SCHEMA_VERSION

__all__ = ["FIRST_VERSION", "SCHEMA", "SCHEMA_VERSION", "UPGRADES"]

FIRST_VERSION: Final = 11
_SCHEMA: Final = """
CREATE TABLE journal_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
CREATE TABLE committed (session TEXT PRIMARY KEY, number BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL);
CREATE TABLE execution (
  execution_id TEXT PRIMARY KEY, stream TEXT NOT NULL, state TEXT NOT NULL, attempt BIGINT NOT NULL,
  is_retry BIGINT NOT NULL, started_at TEXT, finished_at TEXT, trace_id TEXT NOT NULL DEFAULT '',
  counts BYTEA NOT NULL, failure BYTEA, planned BYTEA NOT NULL, next_batch BIGINT NOT NULL DEFAULT 0,
  next_document BIGINT NOT NULL DEFAULT 0, fencing_token BIGINT NOT NULL DEFAULT 0, attempts BYTEA
);
CREATE INDEX execution_unfinished ON execution (execution_id) WHERE state IN ('pending', 'running');
CREATE TABLE stream (stream TEXT PRIMARY KEY, position BYTEA, read_to_end_at TEXT, clean_at TEXT);
CREATE TABLE prepared (execution_id TEXT PRIMARY KEY, body BYTEA NOT NULL);
CREATE TABLE ledger (stream TEXT, key TEXT, version TEXT NOT NULL, PRIMARY KEY (stream, key));
CREATE INDEX ledger_version ON ledger (stream, version);
CREATE TABLE dead_letter (
  dead_letter_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
  attempts BIGINT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, process TEXT NOT NULL,
  stream TEXT NOT NULL, trace_id TEXT NOT NULL, retrying TEXT, parked BYTEA NOT NULL, payload BYTEA, profile TEXT,
  code TEXT NOT NULL DEFAULT '', assignee TEXT NOT NULL DEFAULT '', revision BIGINT NOT NULL DEFAULT 0,
  announced BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX dead_letter_state ON dead_letter (state, queue, dead_letter_id);
CREATE INDEX dead_letter_retrying ON dead_letter (retrying) WHERE retrying IS NOT NULL;
CREATE INDEX dead_letter_process ON dead_letter (state, process, dead_letter_id);
CREATE INDEX dead_letter_expiry ON dead_letter (state, expires_at);
CREATE TABLE dead_letter_profile (digest TEXT PRIMARY KEY, body BYTEA NOT NULL);
CREATE TABLE dead_letter_retry (retry_id TEXT PRIMARY KEY, state TEXT NOT NULL, body BYTEA NOT NULL);
CREATE TABLE outbox (
  owner TEXT NOT NULL, sequence BIGINT NOT NULL, kind TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,
  size BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (owner, sequence)
);
CREATE TABLE spool (
  owner TEXT PRIMARY KEY, epoch TEXT NOT NULL, last BIGINT NOT NULL, acknowledged BIGINT NOT NULL,
  records BIGINT NOT NULL, bytes BIGINT NOT NULL
);
CREATE TABLE receipt (
  sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, execution_id TEXT NOT NULL, batch BIGINT NOT NULL,
  step TEXT NOT NULL, part BIGINT NOT NULL, attempt BIGINT NOT NULL, fencing_token BIGINT NOT NULL,
  at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL, rows BIGINT NOT NULL, body BYTEA NOT NULL,
  UNIQUE (execution_id, batch, step, part)
);
CREATE INDEX receipt_expires ON receipt (expires_at);
CREATE TABLE vault_block (
  block BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key_version BIGINT NOT NULL, body BYTEA NOT NULL
);
CREATE TABLE vault (token TEXT PRIMARY KEY, block BIGINT NOT NULL);
CREATE TABLE remembered (owner TEXT, name TEXT, body BYTEA NOT NULL, PRIMARY KEY (owner, name));
CREATE TABLE snapshot (owner TEXT, key BYTEA, hash BYTEA NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (owner, key));
CREATE TABLE cached (
  sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, execution_id TEXT NOT NULL, body BYTEA NOT NULL
);
CREATE INDEX cached_execution ON cached (execution_id, sequence);
CREATE TABLE halfway (stream TEXT PRIMARY KEY, body BYTEA NOT NULL);
CREATE TABLE sequence (name TEXT PRIMARY KEY, next BIGINT NOT NULL);
CREATE TABLE sequence_number (name TEXT, key TEXT, number BIGINT NOT NULL, PRIMARY KEY (name, key));
CREATE TABLE xref_column (
  name TEXT, place BIGINT, column_name TEXT NOT NULL, is_unique BOOLEAN, PRIMARY KEY (name, place)
);
CREATE TABLE schedule (key TEXT PRIMARY KEY, last TEXT NOT NULL, term BIGINT NOT NULL);
CREATE TABLE schedule_term (one INTEGER PRIMARY KEY CHECK (one = 1), term BIGINT NOT NULL);
CREATE TABLE coordination (
  one INTEGER PRIMARY KEY CHECK (one = 1), cluster_id TEXT NOT NULL, epoch BIGINT NOT NULL
);
CREATE TABLE partitioned (parent_id TEXT PRIMARY KEY, stream TEXT NOT NULL, position_from BYTEA, position_to BYTEA);
CREATE INDEX partitioned_stream ON partitioned (stream, parent_id);
CREATE TABLE part (
  execution_id TEXT PRIMARY KEY, parent_id TEXT NOT NULL, number BIGINT NOT NULL, digest BYTEA NOT NULL,
  body BYTEA NOT NULL, done_before BIGINT NOT NULL, UNIQUE (parent_id, number)
);
CREATE TABLE sealing_key (one INTEGER PRIMARY KEY CHECK (one = 1), proof BYTEA NOT NULL);
CREATE TABLE sealing_key_holder (
  public BYTEA PRIMARY KEY, atom_id TEXT NOT NULL, asked_at DOUBLE PRECISION NOT NULL, sealer BYTEA, sealed BYTEA
);
INSERT INTO journal_version VALUES (1, 11);
"""
SCHEMA: Final = _SCHEMA.replace(" TEXT", ' TEXT COLLATE "C"')
UPGRADES: Final[tuple[str, ...]] = ()
"""From FIRST_VERSION on, one each; texts with their collation."""
