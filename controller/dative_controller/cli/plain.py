"""Messages of the wire as plain data, the way `-o json` promises them.

Names as in the .proto files, integers as integers, moments as ISO 8601 in UTC, durations in seconds, enum values as
their last word in lower case, bytes as hex. Every field is there, also the empty ones, so that a script may rely on it.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Plain = dict[str, Any]


def plain(message: Message) -> Plain:
    """The message as a dict; a message field that is not set is None."""
    shown: Plain = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            inner = entry.fields_by_name["value"]
            shown[field.name] = {key: _one(inner, value[key]) for key in sorted(value)}
        elif field.is_repeated:
            shown[field.name] = [_one(field, item) for item in value]
        elif entry is not None and not message.HasField(field.name):
            shown[field.name] = None
        else:
            shown[field.name] = _one(field, value)
    return shown


def enum_word(field: Any, number: int) -> str:
    """ "EXECUTION_STATE_SUCCEEDED" -> "succeeded"; unspecified is the empty text."""
    enum = field.enum_type
    known = enum.values_by_number.get(number)
    if known is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    word = known.name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def _one(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString() if value.seconds or value.nanos else None
    if isinstance(value, Duration):
        return value.seconds + value.nanos / 1e9
    if isinstance(value, Message):
        return plain(value)
    if field.enum_type is not None:
        return enum_word(field, value)
    return value.hex() if isinstance(value, bytes) else value
