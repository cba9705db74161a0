"""Codes of script: what a row failed for, and what stopped the process that ran it."""

from __future__ import annotations

from dative.errors.base import Code

NOT_ALLOWED = Code(
    "script.not_allowed",
    "PERMISSION_DENIED",
    "The process holds a script, and its environment or this atom allows none.",
    "dative env set ENV --allow scripts, and `allow_scripts: true` on the atom; or write the step without a script.",
)
UNSUPPORTED = Code(
    "script.unsupported",
    "FAILED_PRECONDITION",
    "This machine can not shut a script in: scripts run on Linux on x86-64 and ARM64 with seccomp.",
    "Run the process on such an atom.",
)
INVALID = Code(
    "script.invalid",
    "FAILED_PRECONDITION",
    "The script can not be loaded.",
    "Correct the line that the message names, and try it: dative process test FILE.",
)
ROW_FAILED = Code(
    "script.row_failed",
    "FAILED_PRECONDITION",
    "The script raised an error for this document.",
    "Look at the document and at the script; handle the case there, and retry the dead letter.",
)
FORBIDDEN = Code(
    "script.forbidden",
    "PERMISSION_DENIED",
    "The script asked for what it may not have: a file, the network, another process, a module.",
    "Bring what it needs as fields; a script computes and nothing else.",
)
OUT_OF_TIME = Code(
    "script.out_of_time",
    "DEADLINE_EXCEEDED",
    "The script did not end within its time for this document, and was stopped.",
    "Look for a loop; raise `timeout` if the work is meant to take so long.",
)
OUT_OF_MEMORY = Code(
    "script.out_of_memory",
    "RESOURCE_EXHAUSTED",
    "The script reached its memory limit at this document.",
    "Look for what grows; raise `memory` if so much is meant.",
)
ENDED = Code(
    "script.ended",
    "ABORTED",
    "The script ended its own process, or broke what it says to the atom, at this document.",
    "Let the script return its values; it has no other way to say anything.",
)
WRONG_OUTPUT = Code(
    "script.wrong_output",
    "INVALID_ARGUMENT",
    "What the script gave for this document is not what the step declares.",
    "Let it return a mapping with every declared output, of its type.",
)
GIVEN_UP = Code(
    "script.given_up",
    "ABORTED",
    "The script was stopped too often in this batch; the documents that were left did not reach it.",
    "Correct the script by what the first documents say, then retry the dead letters.",
)
