"""Codes of dry runs."""

from __future__ import annotations

from dative.errors.base import Code

TOO_SLOW = Code(
    "dry_run.too_slow",
    "DEADLINE_EXCEEDED",
    "The dry run was given up because it took too long; nothing was written.",
    "Look at fewer documents: --documents 100.",
)
WRITES = Code(
    "dry_run.writes",
    "INTERNAL",
    "A dry run was about to write something down, which it never does; a defect of Dative.",
    "Report the process with what the message names; nothing was written.",
)
