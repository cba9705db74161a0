"""Codes of program_command: what this atom refuses, and what a document failed for."""

from __future__ import annotations

from dative.errors.base import Code

NOT_ALLOWED = Code(
    "command.not_allowed",
    "PERMISSION_DENIED",
    "The process runs a program that its environment or this atom does not allow.",
    "dative env set ENV --allow command:PATH, and `allow_commands` on the atom; or do the work without a program.",
)
UNUSABLE = Code(
    "command.unusable",
    "FAILED_PRECONDITION",
    "The program is not there, or can not be executed by the atom.",
    "Install it at that path, and let the atom's user execute it.",
)
ARGUMENT = Code(
    "command.argument",
    "INVALID_ARGUMENT",
    "A value can not be an argument: it is null, holds a NUL, begins with a dash where options are read, or is too long.",
    "Repair it in a map; put the argument -- before values where the program knows it; hand long texts over as stdin.",
)
OUT_OF_TIME = Code(
    "command.out_of_time",
    "DEADLINE_EXCEEDED",
    "The program did not end within its time and was killed with its children; what it did before, it did.",
    "Look at what it waits for; raise `timeout` if the work is meant to take so long.",
)
OUTPUT = Code(
    "command.output",
    "RESOURCE_EXHAUSTED",
    "The program wrote more than `output_max`, or no UTF-8 text.",
    "Let it write less, or raise `output_max`.",
)
REJECTED = Code(
    "command.rejected",
    "INVALID_ARGUMENT",
    "The program ended with a code that `reject_on` names.",
    "Look at the document: the program refused it.",
)
FAILED = Code(
    "command.failed",
    "ABORTED",
    "The program ended with another code than 0, or by a signal.",
    "Run it by hand with such a document, and look at what it says.",
)
