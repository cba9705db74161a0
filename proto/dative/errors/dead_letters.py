"""Codes of what people do with dead letters: edits that do not fit, letters that changed meanwhile, retries that stop."""

from dative.errors.base import Code

UNKNOWN_FIELD = Code(
    "dead_letters.unknown_field",
    "INVALID_ARGUMENT",
    "The edit names a field that the document's source does not have; nothing was stored.",
    "Look at the document's fields: dative dlq show ID --payload",
)
WRONG_TYPE = Code(
    "dead_letters.wrong_type",
    "INVALID_ARGUMENT",
    "The new value does not fit the type that the source's profile gives the field; nothing was stored.",
    "Give a value of the type that the message names; FIELD:=JSON gives numbers, lists and null.",
)
CHANGED = Code(
    "dead_letters.changed",
    "ABORTED",
    "Somebody changed the dead letter after you looked at it; nothing was stored.",
    "Look at it again (dative dlq show ID), then repeat the edit, or give --force.",
)
PAYLOAD_GONE = Code(
    "dead_letters.payload_gone",
    "FAILED_PRECONDITION",
    "The document itself was destroyed when its time was over; only the record of it is left.",
    "Send it again from its source; the record says which it was: dative dlq show ID",
)
REASON_MISSING = Code(
    "dead_letters.reason_missing",
    "INVALID_ARGUMENT",
    "A dead letter is discarded with a reason or not at all.",
    "Give --reason TEXT.",
)
NOTHING_SELECTED = Code(
    "dead_letters.nothing_selected",
    "INVALID_ARGUMENT",
    "The command says neither which dead letters nor that all are meant.",
    "Name their ids, or give --queue, --process, --code or another filter, or --all.",
)
RATE_INVALID = Code(
    "dead_letters.rate_invalid",
    "INVALID_ARGUMENT",
    "A retry's rate or the size of its chunks is outside what an atom does.",
    "Give --rate 50/s (up to 10000/s) and --batch 1 to 1000.",
)
RETRY_STOPPED = Code(
    "dead_letters.retry_stopped",
    "FAILED_PRECONDITION",
    "A retry ended before its last chunk because the execution of a chunk failed; the letters that are left wait.",
    "See why: dative execution show ID; then retry again.",
)
EXPIRING = Code(
    "dead_letters.expiring",
    "FAILED_PRECONDITION",
    "Dead letters that nobody has dealt with reach the end of their keep within a day; their documents are destroyed then.",
    "Retry them, keep them longer (dative dlq expire ID --keep 30d) or discard them with a reason.",
)
EXPIRED = Code(
    "dead_letters.expired",
    "FAILED_PRECONDITION",
    "Dead letters reached the end of their keep; their documents are destroyed, the records of them stay.",
    "See which: dative dlq list --state expired",
)
