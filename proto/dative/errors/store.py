"""Codes of the controller's store: its database, its lock, its blobs."""

from __future__ import annotations

from dative.errors.base import Code

LOCKED = Code(
    "store.locked",
    "FAILED_PRECONDITION",
    "Another controller uses this data directory; with SQLite there is exactly one.",
    "Stop the other one, or use PostgreSQL to run several.",
)
UNAVAILABLE = Code(
    "store.unavailable",
    "UNAVAILABLE",
    "The controller's database does not answer or refused the statement.",
    "Check the database's address, its free space and its log; the call can be repeated.",
)
BUSY = Code(
    "store.busy",
    "RESOURCE_EXHAUSTED",
    "More work waits for the controller's database than its queue holds.",
    "Try again in a moment; give the database more if it lasts.",
)
NEWER = Code(
    "store.newer_schema",
    "FAILED_PRECONDITION",
    "The database was migrated by a newer controller than this one.",
    "Start the newer version, or restore the backup made before the upgrade.",
)
BLOB_MISSING = Code(
    "store.blob_missing",
    "NOT_FOUND",
    "The controller does not hold this blob, or the caller may not read it.",
    "Deploy again: the CLI uploads what is missing.",
)
BLOB_INVALID = Code(
    "store.blob_invalid",
    "INVALID_ARGUMENT",
    "The uploaded bytes do not have the digest or the size that was announced.",
    "Upload again; if it repeats, something between changes the bytes.",
)
AUDIT_BROKEN = Code(
    "store.audit_broken",
    "DATA_LOSS",
    "The audit log was changed after it was written: an entry's hash does not fit.",
    "Compare with the copies shipped elsewhere and find out who had access to the database.",
)
