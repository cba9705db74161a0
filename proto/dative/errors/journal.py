"""Codes of the journal: the atom's own memory on disk."""

from dative.errors.base import Code

DISK_FULL = Code(
    "journal.disk_full",
    "RESOURCE_EXHAUSTED",
    "The atom's disk is full, so nothing can be settled; running executions stop at their last settled batch.",
    "Free space on the volume of the atom's data directory; executions resume by themselves.",
)
BUSY = Code(
    "journal.busy",
    "UNAVAILABLE",
    "Another process held the journal's write lock for longer than its bound.",
    "Look for a slow disk or a stopped process with the journal open; the call is tried again.",
)
UNREADABLE = Code(
    "journal.unreadable",
    "DATA_LOSS",
    "The journal is not the file this atom wrote: damaged, or of a newer version.",
    "Restore the data directory from its backup, or start the version that wrote it.",
)
UNKNOWN_EXECUTION = Code(
    "journal.unknown_execution",
    "NOT_FOUND",
    "No execution with that id was ever planned on this atom.",
    "List what there is: dative execution list.",
)
ALREADY_FINISHED = Code(
    "journal.already_finished",
    "FAILED_PRECONDITION",
    "The execution has ended; an ended execution never runs again.",
    "Run the process again: dative process run NAME.",
)
UNKNOWN_DEAD_LETTER = Code(
    "journal.unknown_dead_letter",
    "NOT_FOUND",
    "No dead letter with that id is on this atom.",
    "List what waits: dative dlq list.",
)
DEAD_LETTER_BUSY = Code(
    "journal.dead_letter_not_waiting",
    "FAILED_PRECONDITION",
    "Only a waiting dead letter can be changed or retried; this one is being retried, resolved, discarded or expired.",
    "Look at its state: dative dlq show ID.",
)
XREF_INVALID = Code(
    "journal.xref_invalid",
    "INVALID_ARGUMENT",
    "A cross-reference row has a missing column or columns of different lengths.",
    "Give every row a value in every column.",
)
RECEIPTS_BROKEN = Code(
    "journal.receipts_broken",
    "DATA_LOSS",
    "Receipts came incomplete, or are not in the form in which atoms write them.",
    "Ask for them again; on the atom itself: dative-atom execution receipts EXECUTION.",
)
XREF_NOT_UNIQUE = Code(
    "journal.xref_not_unique",
    "FAILED_PRECONDITION",
    "A cross-reference table is declared unique in a column in which a value stands twice already.",
    "Look at its rows and remove one: dative-atom xref export TABLE, dative-atom xref remove TABLE COLUMN VALUE.",
)
UNKNOWN_XREF = Code(
    "journal.unknown_xref",
    "NOT_FOUND",
    "No cross-reference table of that name, or no such column, is on this atom.",
    "List what there is: dative-atom xref list.",
)
UNAVAILABLE = Code(
    "journal.unavailable",
    "UNAVAILABLE",
    "The PostgreSQL server that holds the molecule's journal does not answer, or has just been restarted.",
    "Nothing to do if it comes back: the call is tried again. Else look at the server: dative-atom doctor.",
)
REFUSED = Code(
    "journal.refused",
    "PERMISSION_DENIED",
    "The PostgreSQL server does not accept the journal's user, password or database.",
    "Check the molecule's journal: its user needs a database and the right to create a schema in it.",
)
KEY_TOO_LONG = Code(
    "journal.key_too_long",
    "INVALID_ARGUMENT",
    "A value is longer than a key of PostgreSQL can be, about 2,700 bytes: of a cross-reference or a ledger.",
    "Use a shorter field as key.",
)
ADDRESS_INVALID = Code(
    "journal.address_invalid",
    "INVALID_ARGUMENT",
    "The address of the journal is neither a path nor one of a PostgreSQL database without a password in it.",
    "Write it as postgresql://user@host/database, and give the password as a secret.",
)
KEY_WANTED = Code(
    "journal.key_wanted",
    "UNAVAILABLE",
    "This atom waits for a member that holds the journal's key: it seals it for every member that the environment admits.",
    "Start a member that has worked in this molecule before, and see that this atom is approved: dative atom list.",
)
PARTITIONS_INVALID = Code(
    "journal.partitions_invalid",
    "INVALID_ARGUMENT",
    "An execution is divided into 1 to 1000 parts, numbered from 0.",
    "Give flow_control fewer, larger parts.",
)
KEY_WRONG = Code(
    "journal.key_wrong",
    "FAILED_PRECONDITION",
    "The key of the shared journal that this atom has, or was offered, is not the journal's, or no admitted member sealed it.",
    "See that this atom's journal address is its molecule's; if the database was replaced, restore it from its backup.",
)
