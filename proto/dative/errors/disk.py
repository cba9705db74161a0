"""Codes of the disk connector."""

from dative.errors.base import Code

ROOT_MISSING = Code(
    "disk.root_missing",
    "NOT_FOUND",
    "The connection's folder is not there, or the atom's user may not use it.",
    "Create the folder and give the atom's user access to it.",
)
PATH_OUTSIDE = Code(
    "disk.path_outside",
    "PERMISSION_DENIED",
    "A path leads out of the connection's folder.",
    "Write the path relative to the folder, without .. and without links that lead out.",
)
LINE_UNREADABLE = Code(
    "disk.line_unreadable",
    "INVALID_ARGUMENT",
    "A line is not of the declared format, or a value not of its declared type.",
    "Repair the file; or declare the column as text and convert it in a map, so that single documents take the catch route.",
)
COLUMN_MISSING = Code(
    "disk.column_missing",
    "NOT_FOUND",
    "A file's header lacks a declared column.",
    "Correct the column's name, or the file.",
)
FULL = Code(
    "disk.full",
    "RESOURCE_EXHAUSTED",
    "The volume has no room left, or the file system failed; nothing of the batch is visible.",
    "Free space on the volume; the batch is tried again.",
)
