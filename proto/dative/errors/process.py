"""Codes of the process language: what is wrong with a process file. Codes of its SQL are in `expression`."""

from __future__ import annotations

from dative.errors.base import Code

_CHECK = "Correct the line that the finding names and run `dative process validate` again."


def _code(name: str, means: str, next_step: str = _CHECK) -> Code:
    return Code(f"process.{name}", "INVALID_ARGUMENT", means, next_step)


# The text, before anything is understood.
TOO_LARGE = _code(
    "too_large", "The file is longer than a process may be; it was not read.", "Split the process in two."
)
ENCODING = _code("encoding", "The file is not UTF-8 text.", "Save the file as UTF-8 without a byte order mark.")
SYNTAX = _code("syntax", "The file is not YAML 1.2.")
TAB = _code("tab", "A tab stands where YAML wants spaces.", "Indent with spaces; most editors convert tabs on request.")
ALIAS = _code(
    "alias",
    "Anchors, aliases and merge keys are not part of the process language: a few bytes of them can mean gigabytes.",
    "Write the value out where it is used.",
)
TAG = _code(
    "tag", "Explicit YAML tags are not part of the process language.", "Remove the tag; quote the value if needed."
)
DUPLICATE_KEY = _code("duplicate_key", "The same key stands twice in one mapping.", "Keep one of the two.")
SEVERAL_DOCUMENTS = _code("several_documents", "A file holds one process.", "Put each document in a file of its own.")
TOO_DEEP = _code(
    "too_deep", "The file is nested deeper than a process may be.", "Flatten the steps, or split the process."
)
TOO_MANY_NODES = _code("too_many_nodes", "The file holds more values than a process may.", "Split the process in two.")
EMPTY = _code("empty", "The file holds no process.", "Start from a process in `examples/`.")

# The structure.
WRONG_KIND = _code("wrong_kind", "apiVersion or kind is not one that this version reads.")
UNKNOWN_KEY = _code("unknown_key", "A key is not part of the language here.")
MISSING_KEY = _code("missing_key", "A key that is needed here is missing.")
WRONG_VALUE = _code("wrong_value", "A value is not of the form that is needed here.")
NO_VERB = _code("no_verb", "A step says what it does with exactly one verb, and this one has none.")
SEVERAL_VERBS = _code(
    "several_verbs", "A step does one thing, and this one has several verbs.", "Make each verb a step."
)
UNKNOWN_VERB = _code("unknown_verb", "No shape or operation has this name.")
MISPLACED = _code(
    "misplaced", "A key is known, but has no meaning at this verb.", "Move it to the step that it is about."
)
TOO_MANY_STEPS = _code("too_many_steps", "The process has more steps than one may.", "Split the process in two.")

# The meaning.
DUPLICATE_STEP = _code("duplicate_step", "Two steps have the same id.", "Give each step an id of its own.")
BAD_CRON = _code("bad_cron", "The schedule is not a five-field cron expression.", 'Example: cron: "*/15 * * * *".')
BAD_ZONE = _code("bad_zone", "The time zone is not in the IANA database.", "Example: timezone: Europe/Paris.")
UNKNOWN_CONNECTOR = _code("unknown_connector", "No connector has this name.")
UNKNOWN_CONNECTION = _code("unknown_connection", "The operation uses a connection that the process does not declare.")
WRONG_CONNECTOR = _code("wrong_connector", "The connection belongs to another connector than the operation.")
UNKNOWN_OPERATION = _code("unknown_operation", "The connector has no operation of this name.")
WRONG_DIRECTION = _code(
    "wrong_direction", "A source operation stands among the steps, or a target operation as source."
)
BAD_OPTION = _code("bad_option", "An option of the operation is unknown, missing or has a value it can not have.")
UNKNOWN_BIND = _code("unknown_bind", "The filter names a bind that nothing fills.")
UNKNOWN_FIELD = _code("unknown_field", "The documents that reach this step have no field of this name.")
RESERVED_FIELD = _code("reserved_field", "Field names that begin with _ belong to the engine.", "Choose another name.")
FIELD_TWICE = _code("field_twice", "Two map fields differ only in upper and lower case: targets take them for one.")
CLASSIFIED_UNMASKED = _code(
    "classified_unmasked",
    "A classified value reaches a target, and no mask stands on its way.",
    "Mask the field before this step, or say in `discloses:` why this target may have it.",
)
CLASSIFIED_TRACKED = _code(
    "classified_tracked",
    "A tracked field is searchable at the controller in the clear, so a classified one can only be tracked as a hash.",
    "Track its hash, `track: [hash(Field)]`, or another key of the document.",
)
CLASSIFIED_POSITION = _code(
    "classified_position",
    "The position of an incremental read is stored and reported in the clear, and this field of it is classified.",
    "Read by another field that rises with every change, with a key that tells nobody who it is.",
)
UNCLASSIFIED_IDENTIFIER = _code(
    "unclassified_identifier",
    "The field's name looks like one of HIPAA's identifiers, and nothing in `classify` says what it is.",
    "Classify it, or say that somebody looked at it: `classify: {none: [Field]}`.",
)
BAD_MASK = _code("bad_mask", "The mask does not fit the field's type.")
UNKNOWN_TABLE = _code("unknown_table", "The process declares no table of this name.", "Declare it under `spec.tables`.")
WRONG_TABLE = _code("wrong_table", "The table is of another kind than the use needs.")
UNKNOWN_COLUMN = _code("unknown_column", "The cross-reference table has no column of this name.")
UNKNOWN_PARAMETER = _code("unknown_parameter", "The process declares no parameter of this name.")
CLASSIFIED_TOLD = _code(
    "classified_told",
    "A message that people read outside the documents would show a classified value.",
    "Leave the field out, or mask it before this step.",
)
BAD_TEMPLATE = _code("bad_template", "The template can not be filled so that its format holds.")
CACHE_EMPTY = _code(
    "cache_empty", "A step reads a cache that no step before it fills.", "Put a `cache_add` before this step."
)
CACHE_MISMATCH = _code("cache_mismatch", "Steps of one cache do not agree on its key or its fields.")
CACHE_READ_BEFORE = _code(
    "cache_read_before",
    "A cache is changed by a step after one that reads it: what that one saw would depend on how documents are cut into "
    "batches.",
    "Move the step before every step that reads the cache.",
)
RESERVED_PROPERTY = _code(
    "reserved_property", "This property tells about the execution and can not be set.", "Choose another name."
)
PROPERTY_UNSET = _code(
    "property_unset",
    "An expression reads a property that no step before it sets.",
    "Put a `set_properties` before this step, or correct the name.",
)
PROPERTY_READ_BEFORE = _code(
    "property_read_before",
    "A process property is set by a step after one that reads it: what that one saw would depend on how documents are "
    "cut into batches.",
    "Move the `set_properties` before every step that reads the property.",
)
PROPERTY_TYPES = _code("property_types", "Two steps set the same property to values of types that do not go together.")
PROPERTY_CLASSIFIED = _code(
    "property_classified",
    "A persisted property is kept beyond the execution, where no class follows a value, so it can hold none.",
    "Mask the field before this step, or keep something else.",
)
PROPERTY_PARALLEL = _code(
    "property_parallel",
    "Arms that run at the same time can not set a property or change a cache that other documents read: which one is "
    "last would be chance.",
    "Do it before the branch or after it, or leave `parallel` out.",
)
NO_VERIFY = _code(
    "no_verify",
    "This write is not idempotent: when its answer is lost, only `verify:` can tell whether it was applied.",
    "Add `verify: {key: [field]}`, or choose an idempotent operation such as an upsert.",
)
UNKNOWN_PROCESS = _code(
    "unknown_process", "The called process is in no file beside this one.", "Write its file, or correct the name."
)
NOT_CALLABLE = _code(
    "not_callable",
    "The called process starts by itself: it does not take documents of a caller.",
    "Let its source be `documents: {fields: {…}}`.",
)
CALL_CYCLE = _code(
    "call_cycle",
    "Processes call one another in a circle, so no execution would ever end.",
    "Break the circle where the message names it; repeat over documents with a split, over time with a schedule.",
)
CALL_TOO_DEEP = _code(
    "call_too_deep",
    "Processes call one another over more levels, or with more steps together, than one execution may have.",
    "Call fewer processes inside one another, or give the inner ones a schedule of their own.",
)
UNREACHABLE = _code("unreachable", "No document can reach this step: all of them end before it.", "Remove or move it.")
UNUSED_CONNECTION = _code("unused_connection", "A declared connection is used by no step.", "Remove it.")

# Incremental reads.
STALE_FIELD = _code(
    "stale_field",
    "The field can change without its record's stamp: an incremental read does not see such a change alone.",
    "Read its own object too, or read everything now and then with `find_changes`.",
)
NO_WATERMARK = _code(
    "no_watermark",
    ":watermark is where the next window of an incremental read begins; without `incremental` it stays 1970-01-01.",
    "Add `incremental` to the step, or use :lastRunDate.",
)

# Process tests.
TEST_MISMATCH = _code("test_mismatch", "The test speaks of a step, field or table that the process does not have.")

# Functions of the process' own.
FUNCTION_TWICE = _code(
    "function_twice", "A function of the process has the name of one of the language.", "Give it another name."
)

# Lists and structs.
NO_LIST = _code("no_list", "A field is taken for a list, and it is none.", "Name a field whose type is list(…).")

# Parts of one execution.
NOT_SPREAD = _code(
    "not_spread",
    "Something in the process needs the documents of an execution together or in order, and `spread` parts them.",
    "Take `spread` out of `flow_control`, or leave to another process what the finding names.",
)
SPREAD_UNDIVIDED = _code(
    "spread_undivided",
    "`spread` is checked, and this version still reads the source undivided: right, and no faster.",
    "Leave it as it is for a version that runs the parts apart, or take it out.",
)
NOT_DIVISIBLE = _code(
    "not_divisible",
    "The source can not divide what there is to read into parts.",
    "Take `spread` out of `flow_control`, or read from a source whose reference page says that it can be spread.",
)
