"""The tables of the journal in SQLite: how they began, and each step to what they are now.

A version is one number for both stores: `postgres_schema` takes the same steps.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE execution (
  execution_id TEXT PRIMARY KEY, stream TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
  is_retry INTEGER NOT NULL, started_at TEXT, finished_at TEXT, trace_id TEXT NOT NULL DEFAULT '',
  counts BLOB NOT NULL, failure BLOB, planned BLOB NOT NULL,
  next_batch INTEGER NOT NULL DEFAULT 0, next_document INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX execution_unfinished ON execution (execution_id) WHERE state IN ('pending', 'running');
CREATE TABLE stream (stream TEXT PRIMARY KEY, position BLOB, read_to_end_at TEXT, clean_at TEXT) WITHOUT ROWID;
CREATE TABLE prepared (execution_id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE ledger (stream TEXT, key TEXT, version TEXT NOT NULL, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE INDEX ledger_version ON ledger (stream, version);
CREATE TABLE dead_letter (
  dead_letter_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, process TEXT NOT NULL,
  stream TEXT NOT NULL, trace_id TEXT NOT NULL, retrying TEXT, parked BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX dead_letter_state ON dead_letter (state, queue, dead_letter_id);
CREATE INDEX dead_letter_retrying ON dead_letter (retrying) WHERE retrying IS NOT NULL;
CREATE TABLE outbox (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, created_at REAL NOT NULL, size INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE spool (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, acknowledged INTEGER NOT NULL,
  records INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""
_LETTERS: Final = """
ALTER TABLE dead_letter ADD COLUMN payload BLOB;
ALTER TABLE dead_letter ADD COLUMN profile TEXT;
ALTER TABLE dead_letter ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN assignee TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letter ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dead_letter_process ON dead_letter (state, process, dead_letter_id);
CREATE INDEX dead_letter_expiry ON dead_letter (state, expires_at);
CREATE TABLE dead_letter_profile (digest TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letter_retry (retry_id TEXT PRIMARY KEY, state TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""
"""What people do with dead letters. `parked` holds everything but the document from here on, `payload` the document."""
_SHARED: Final = """
CREATE TABLE outbox_rows (
  owner TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, created_at REAL NOT NULL, size INTEGER NOT NULL,
  body BLOB NOT NULL, UNIQUE (owner, sequence)
);
INSERT INTO outbox_rows SELECT '', sequence, kind, created_at, size, body FROM outbox ORDER BY sequence;
CREATE TABLE spools (
  owner TEXT PRIMARY KEY, epoch TEXT NOT NULL, last INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
  records INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO spools SELECT '', epoch, max(acknowledged, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)),
  acknowledged, records, bytes FROM spool;
DROP TABLE outbox;
DROP TABLE spool;
ALTER TABLE outbox_rows RENAME TO outbox;
ALTER TABLE spools RENAME TO spool;
CREATE TABLE IF NOT EXISTS sequence (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequence_number (
  name TEXT, key TEXT, number INTEGER NOT NULL, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE partitioned (
  parent_id TEXT PRIMARY KEY, stream TEXT NOT NULL, position_from BLOB, position_to BLOB
) WITHOUT ROWID;
CREATE INDEX partitioned_stream ON partitioned (stream, parent_id);
CREATE TABLE part (
  execution_id TEXT PRIMARY KEY, parent_id TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL,
  body BLOB NOT NULL, done_before INTEGER NOT NULL, UNIQUE (parent_id, number)
);
"""
"""Each atom's own spool in a journal of several, and executions that several work on."""
UPGRADES: Final = (
    # 1 -> 2: receipts.
    """
CREATE TABLE receipt (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL, batch INTEGER NOT NULL, step TEXT NOT NULL,
  part INTEGER NOT NULL, attempt INTEGER NOT NULL, fencing_token INTEGER NOT NULL, at REAL NOT NULL,
  expires_at REAL NOT NULL, rows INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (execution_id, batch, step, part)
);
CREATE INDEX receipt_expires ON receipt (expires_at);
""",
    """
CREATE TABLE vault_block (block INTEGER PRIMARY KEY, key_version INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE vault (token TEXT PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID;
""",
    _LETTERS,
    # What documents set for those after them. owner: an execution, until it has ended, or a stream, for good.
    """
CREATE TABLE remembered (owner TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID;
""",
    # What find_changes compares with.
    """
CREATE TABLE snapshot (
  owner TEXT, key BLOB, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (owner, key)
) WITHOUT ROWID;
""",
    # What happened to the document caches of executions that have not ended.
    """
CREATE TABLE cached (sequence INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX cached_execution ON cached (execution_id, sequence);
""",
    # With rowids: a letter is larger than what a table without them keeps in its leaves, so each took a page of its own
    # beside the tree and was written where its id fell. Letters that come together lie together now, a third of the size.
    """
CREATE TABLE dead_letter_rows (
  dead_letter_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, process TEXT NOT NULL,
  stream TEXT NOT NULL, trace_id TEXT NOT NULL, retrying TEXT, parked BLOB NOT NULL, payload BLOB, profile TEXT,
  code TEXT NOT NULL DEFAULT '', assignee TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0,
  announced INTEGER NOT NULL DEFAULT 0
);
INSERT INTO dead_letter_rows SELECT dead_letter_id, execution_id, queue, state, attempts, created_at, expires_at, process,
  stream, trace_id, retrying, parked, payload, profile, code, assignee, revision, announced FROM dead_letter;
DROP TABLE dead_letter;
ALTER TABLE dead_letter_rows RENAME TO dead_letter;
CREATE INDEX dead_letter_state ON dead_letter (state, queue, dead_letter_id);
CREATE INDEX dead_letter_retrying ON dead_letter (retrying) WHERE retrying IS NOT NULL;
CREATE INDEX dead_letter_process ON dead_letter (state, process, dead_letter_id);
CREATE INDEX dead_letter_expiry ON dead_letter (state, expires_at);
""",
    # What transactional targets committed of a batch that did not settle, since others had not.
    """
CREATE TABLE halfway (stream TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
""",
    # Several atoms: who may change an execution, who began it, and what their leader wrote down.
    """
ALTER TABLE execution ADD COLUMN fencing_token INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN attempts BLOB;
CREATE TABLE schedule (key TEXT PRIMARY KEY, last TEXT NOT NULL, term INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE schedule_term (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL);
CREATE TABLE coordination (one INTEGER PRIMARY KEY CHECK (one = 1), cluster_id TEXT NOT NULL, epoch INTEGER NOT NULL);
""",
    _SHARED,
)
"""What brings a journal from each version to the next; a new one takes all of them, so there is one way to a schema."""
SCHEMA_VERSION: Final = 1 + len(UPGRADES)
LETTERS_VERSION: Final = 2 + UPGRADES.index(_LETTERS)
