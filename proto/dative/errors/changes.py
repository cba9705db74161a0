"""Codes of find_changes: what can not be compared, and snapshots that can not be meant."""

from __future__ import annotations

from dative.errors.base import Code

NO_KEY = Code(
    "changes.no_key",
    "FAILED_PRECONDITION",
    "A document of the snapshot has no value in a key field, so it can not be compared with the one before.",
    "Leave such documents out in the source, or choose other key fields.",
)
DUPLICATE_KEY = Code(
    "changes.duplicate_key",
    "FAILED_PRECONDITION",
    "Two documents of one snapshot have the same key; the first of them was compared.",
    "Choose key fields that are different in every document of the source.",
)
TOO_MANY_DELETIONS = Code(
    "changes.too_many_deletions",
    "FAILED_PRECONDITION",
    "So many documents are missing in the snapshot that it is probably not whole; nothing was moved.",
    "Look at the source. If they are gone indeed, raise `deletes_max_percent` for one execution.",
)
SPOOL_FAILED = Code(
    "changes.spool_failed",
    "RESOURCE_EXHAUSTED",
    "The snapshot could not be kept beside the journal while it was compared.",
    "Make room on the atom's disk; nothing was moved, and the next execution reads the snapshot again.",
)
