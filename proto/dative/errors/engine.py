"""Codes of the engine: what ends an execution, and what parks a document for a reason of the engine's own."""

from __future__ import annotations

from dative.errors.base import Code

PROCESS_UNREADABLE = Code(
    "engine.process_unreadable",
    "FAILED_PRECONDITION",
    "The process on the atom's disk can not be read by this version of the engine.",
    "Deploy the process again with a `dative` of the atom's version: dative deploy NAME.",
)
COMPILE_FAILED = Code(
    "engine.compile_failed",
    "FAILED_PRECONDITION",
    "A step of the process does not fit the documents that reach it, so nothing was read.",
    "Check the process against the source's fields: dative process validate FILE.",
)
BINDING_MISSING = Code(
    "engine.binding_missing",
    "FAILED_PRECONDITION",
    "The process uses a connection that this environment does not bind.",
    "Bind it and deploy again: dative env set ENV NAME.connector=CONNECTOR.",
)
PARAMETER_INVALID = Code(
    "engine.parameter_invalid",
    "FAILED_PRECONDITION",
    "A value that this environment sets for the process is not of the form it must have, so nothing was read.",
    "Correct it: dative env set ENVIRONMENT --override PROCESS.PARAMETER=VALUE, and deploy again.",
)
PARAMETER_MISSING = Code(
    "engine.parameter_missing",
    "FAILED_PRECONDITION",
    "The process uses a parameter that has neither a default nor a value in this environment.",
    "Set it: dative env set ENVIRONMENT PROCESS.PARAMETER=VALUE.",
)
TABLE_INVALID = Code(
    "engine.table_invalid",
    "FAILED_PRECONDITION",
    "A table of the process is missing from the bundle or can not be read.",
    "Correct the CSV beside the process and deploy again.",
)
UNACCOUNTED = Code(
    "engine.unaccounted",
    "DATA_LOSS",
    "Documents were read of which the engine can not say where they came to rest; this is a defect of Dative.",
    "The batch was not settled, so nothing is lost. Report the execution with its trace.",
)
RETRIES_EXHAUSTED = Code(
    "engine.retries_exhausted",
    "UNAVAILABLE",
    "A target could not be reached in all the attempts that the step allows.",
    "Look at the target; the next execution goes on at the last settled batch.",
)
OUTCOME_UNKNOWN = Code(
    "engine.outcome_unknown",
    "DEADLINE_EXCEEDED",
    "The document was sent and no answer came; it was not sent again, because it may have been applied.",
    "Look it up at the target, then retry or skip the dead letter: dative dlq show ID.",
)
REJECTED = Code(
    "engine.rejected",
    "FAILED_PRECONDITION",
    "The target refused the document and gave no code of its own.",
    "Look at the reason of the dead letter: dative dlq show ID.",
)
LINK_INCOMPLETE = Code(
    "engine.link_incomplete",
    "FAILED_PRECONDITION",
    "The document was written, but a column of its cross-reference row has no value.",
    "Give every column of `link` a value for every document.",
)
PAYLOAD_UNREADABLE = Code(
    "engine.payload_unreadable",
    "INVALID_ARGUMENT",
    "A field of the dead letter does not fit the type that the source gives it.",
    "Repair the field and retry: dative dlq retry ID --set FIELD=VALUE.",
)
PROPERTY_TOO_LONG = Code(
    "engine.property_too_long",
    "INVALID_ARGUMENT",
    "A property would hold a longer text than it may.",
    "Keep a key or a fingerprint of the text, left(…) or sha256(…), and the text itself in a field.",
)
PROPERTY_UNREADABLE = Code(
    "engine.property_unreadable",
    "FAILED_PRECONDITION",
    "A persisted property holds a value that does not fit the type that this version of the process gives it.",
    "Give the property another name, or deploy the version that fits.",
)
CANCELLED = Code(
    "engine.cancelled",
    "CANCELLED",
    "The execution was cancelled; what was settled stays settled.",
    "Start it again: dative process run NAME.",
)
OUT_OF_MEMORY = Code(
    "engine.out_of_memory",
    "RESOURCE_EXHAUSTED",
    "The execution reached the memory limit of its worker.",
    "Lower `batch_rows` of the process, or raise the worker's memory limit.",
)
READ_INVALID = Code(
    "engine.read_invalid",
    "INTERNAL",
    "A connector gave the engine documents or outcomes that break its contract.",
    "Report it with the connector's name; the batch was not settled, so nothing is lost.",
)
SENT_TO_QUEUE = Code(
    "engine.sent_to_queue",
    "FAILED_PRECONDITION",
    "The process itself sent the document to the queue; nothing failed.",
    "Decide what becomes of it: dative dlq show ID.",
)
TOO_MANY_ITEMS = Code(
    "engine.too_many_items",
    "RESOURCE_EXHAUSTED",
    "A document's list has more items than the step allows documents to be made of one.",
    "Raise items_max of the step, up to 100,000, or split the document at its source.",
)
LINK_CONFLICT = Code(
    "engine.link_conflict",
    "ALREADY_EXISTS",
    "The document was written, and one of its ids is linked with another record already; the older link stays.",
    "Look at both: dative-atom xref show TABLE COLUMN VALUE; then remove the wrong one and retry the dead letter.",
)
