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
RECORDING_MISSING = Code(
    "testing.recording_missing",
    "NOT_FOUND",
    "A case wants recorded traffic that does not lie beside the process.",
    "Record it: dative-atom test FILE --record NAME --connection LOGICAL=BINDING.yaml.",
)
RECORDING_DAMAGED = Code(
    "testing.recording_damaged",
    "DATA_LOSS",
    "A file of a recording is missing, cut short or was changed after it was recorded.",
    "Take it from version control again, or record it anew.",
)
RECORDING_TOO_LARGE = Code(
    "testing.recording_too_large",
    "RESOURCE_EXHAUSTED",
    "The traffic is larger than a recording may be; nothing was written.",
    "Record less: narrow the source with a parameter or a condition, a few documents are enough.",
)
RECORDING_LEAKS = Code(
    "testing.recording_leaks",
    "INTERNAL",
    "A secret would still stand in the recording; nothing was written.",
    "Report which connector it was; this is a defect of Dative.",
)
NOTHING_RECORDED = Code(
    "testing.nothing_recorded",
    "FAILED_PRECONDITION",
    "The run exchanged nothing that can be recorded; nothing was written.",
    "Bind a connection that speaks HTTP or SQL; documents of files are given by input_file.",
)
REQUEST_NOT_RECORDED = Code(
    "testing.request_not_recorded",
    "FAILED_PRECONDITION",
    "The process asked something of a system that the recording does not answer.",
    "Look at the nearest recorded request; when the process was changed on purpose, record anew.",
)
BINDING_INVALID = Code(
    "testing.binding_invalid",
    "INVALID_ARGUMENT",
    "The file that binds a connection for a recording or a dry run does not hold.",
    "It has connector, settings, and secrets as references: env:NAME or file:/path.",
)
CONTRACT_DRIFT = Code(
    "testing.contract_drift",
    "FAILED_PRECONDITION",
    "A system no longer has a field, or has it with another type, than when it was recorded.",
    "Change the process to what the system has now, then record anew.",
)
