"""Codes of process tests: what keeps a case from being played, and what its report says."""

from __future__ import annotations

from dative.errors.base import Code

SAMPLE_UNREADABLE = Code(
    "testing.sample_unreadable",
    "INVALID_ARGUMENT",
    "The sample documents of a case can not be read.",
    "Correct the file or the record that the message names; its types stand in `fields` of the test.",
)
BOUNDARIES_EXCEEDED = Code(
    "testing.boundaries_exceeded",
    "RESOURCE_EXHAUSTED",
    "A chaos case passes more boundaries than it can be killed at in reasonable time.",
    "Give the case fewer documents, or a larger batch_rows.",
)
WORKER_LOST = Code(
    "testing.worker_lost",
    "INTERNAL",
    "A worker of a chaos case ended where nothing was to end it, or went on where it was to die; a defect of Dative.",
    "Report the case with what the message says.",
)
