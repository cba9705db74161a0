"""Codes of dry runs."""

from __future__ import annotations

from dative.errors.base import Code

WRITES = Code(
    "dry_run.writes",
    "INTERNAL",
    "A dry run was about to write something down, which it never does; a defect of Dative.",
    "Report the process with what the message names; nothing was written.",
)
