"""Codes of profiles: what a step's system has, as it was recorded beside the process or as it is now."""

from __future__ import annotations

from dative.errors.base import Code

INVALID = Code(
    "profile.invalid",
    "INVALID_ARGUMENT",
    "A profile file does not say the fields of a step.",
    "Write it anew: dative process profile PROCESS --env ENV --write.",
)
STALE = Code(
    "profile.stale",
    "FAILED_PRECONDITION",
    "A profile file was recorded for something else than the step names now; it was not used.",
    "Record it again: dative process profile PROCESS --env ENV --write. Of a step that is gone, remove the file.",
)
TOO_SLOW = Code(
    "profile.too_slow",
    "DEADLINE_EXCEEDED",
    "The atom gave up looking at the steps' systems because it took too long.",
    "Look which one does not answer: dative atom test NAME, or dative-atom doctor on the atom's host.",
)
UNVERIFIED = Code(
    "profile.sql_unverified",
    "PERMISSION_DENIED",
    "An atom executes no SQL that is not part of a bundle which it verified; not even to look at its columns.",
    "Deploy the process once, then profile it; or look from its host: dative-atom profile.",
)
OTHER_CONNECTOR = Code(
    "profile.other_connector",
    "FAILED_PRECONDITION",
    "The environment binds the step's connection to another connector than its operation is of.",
    "Look how it is bound: dative env show ENV.",
)
UNWRITABLE = Code(
    "profile.unwritable",
    "INVALID_ARGUMENT",
    "A profile can not be kept in a file that would read back.",
    "Name the fields that the step needs (columns or fields of its operation), so that the others are left out.",
)
UNKNOWN_TYPE = Code(
    "profile.unknown_type",
    "FAILED_PRECONDITION",
    "An atom named a type of a field that this program does not know.",
    "Use the version of this program that the atoms have.",
)
TOO_LARGE = Code(
    "profile.too_large",
    "RESOURCE_EXHAUSTED",
    "The system has more fields than a profile may hold.",
    "Name the fields that the step needs: columns or fields of its operation.",
)
