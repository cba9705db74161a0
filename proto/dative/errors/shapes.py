"""Codes of the shapes: what a document fails for, and what ends an execution, at a step of the process itself."""

from __future__ import annotations

from dative.errors.base import Code

NOT_CALLED = Code(
    "shape.not_called",
    "FAILED_PRECONDITION",
    "The process starts with documents that a calling process gives, and it was started by itself.",
    "Run the process that calls it, or test it with records of its own: dative process test FILE.",
)
NO_PROCESS = Code(
    "shape.no_process",
    "FAILED_PRECONDITION",
    "No process belongs to the value of this document, and the step has no default.",
    "Add the value under `processes`, or a `default` process, and retry the dead letter.",
)
CALL_ABORTED = Code(
    "shape.call_aborted",
    "ABORTED",
    "A document failed in a called process, and the step says that this ends the execution.",
    "Correct what the message names; the batch was not settled, so the next execution reads it again.",
)
UNIT_TOO_LARGE = Code(
    "shape.unit_too_large",
    "RESOURCE_EXHAUSTED",
    "More documents belong together than a unit of the process may have; nothing of the unit was written.",
    "Raise `rows_max` of `flow_control` as far as memory allows, or choose smaller units.",
)
RAISED = Code(
    "shape.raised",
    "FAILED_PRECONDITION",
    "The process itself raised this: an `exception` step says why.",
    "Do what the message says, then retry the dead letter or run the process again.",
)
MESSAGE_TOO_LONG = Code(
    "shape.message_too_long",
    "RESOURCE_EXHAUSTED",
    "A filled template would be longer than a message may be.",
    "Shorten the fields that the template holds, or write them as fields instead.",
)
TOO_MANY_PARTS = Code(
    "shape.too_many_parts",
    "RESOURCE_EXHAUSTED",
    "A document has more parts than the split allows; none of them went on.",
    "Raise `parts_max` if documents of that size are meant, and retry the dead letter.",
)
TOO_LARGE = Code(
    "shape.too_large",
    "RESOURCE_EXHAUSTED",
    "A value is larger, or would become larger, than the step allows; it was not processed.",
    "Raise `bytes_max` of the step if values of that size are meant, and retry the dead letter.",
)
UNREADABLE = Code(
    "shape.unreadable",
    "INVALID_ARGUMENT",
    "A value is not of the form that the step reads.",
    "Look at the document: dative dlq show ID. Repair it and retry, or correct the step.",
)
NO_PARTS = Code(
    "shape.no_parts",
    "FAILED_PRECONDITION",
    "The document has no part, and the split says that this is an error.",
    "Look at the document, or say `empty: filter` or `empty: keep`.",
)
XML_REFUSED = Code(
    "shape.xml_refused",
    "INVALID_ARGUMENT",
    "The XML declares a document type or entities: a few bytes of them can mean gigabytes, or a file of the atom.",
    "Let the sender leave the document type out.",
)
CACHE_FULL = Code(
    "shape.cache_full",
    "RESOURCE_EXHAUSTED",
    "A document cache would grow beyond the bounds of the step that fills it.",
    "Keep fewer fields, remove documents that nobody needs any more, or raise `rows_max` or `mebibytes_max`.",
)
CACHE_MISS = Code(
    "shape.cache_miss",
    "NOT_FOUND",
    "The cache holds nothing under the key of this document, or the key is NULL.",
    "Fill the cache before, or say what a miss means: `miss: null` or `miss: filter`.",
)
CACHE_MATCHES = Code(
    "shape.cache_matches",
    "RESOURCE_EXHAUSTED",
    "The cache holds more documents under one key than one list may have.",
    "Choose a finer key, or take the first or the last match.",
)
RULES_BROKEN = Code(
    "shape.rules_broken",
    "FAILED_PRECONDITION",
    "The document breaks business rules of the process; the reason names each of them.",
    "Correct the document at its source, or edit the dead letter, and retry it.",
)
CLEANSE_REJECTED = Code(
    "shape.cleanse_rejected",
    "INVALID_ARGUMENT",
    "Fields of the document are not what they must be, and can not be repaired; the reason names field and rule.",
    "Correct the document at its source, or edit the dead letter, and retry it.",
)
