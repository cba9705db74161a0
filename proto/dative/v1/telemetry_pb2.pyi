import datetime

from dative.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRecordsRequest(_message.Message):
    __slots__ = ("spool_epoch", "first_sequence", "records")
    SPOOL_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    spool_epoch: str
    first_sequence: int
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, spool_epoch: _Optional[str] = ..., first_sequence: _Optional[int] = ..., records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class IngestRecordsResponse(_message.Message):
    __slots__ = ("spool_epoch", "committed_sequence", "slow_down")
    SPOOL_EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SLOW_DOWN_FIELD_NUMBER: _ClassVar[int]
    spool_epoch: str
    committed_sequence: int
    slow_down: _duration_pb2.Duration
    def __init__(self, spool_epoch: _Optional[str] = ..., committed_sequence: _Optional[int] = ..., slow_down: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("execution", "dead_letter", "spans", "tracked_documents", "dropped", "event", "dead_letters")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    TRACKED_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    execution: _types_pb2.Execution
    dead_letter: _types_pb2.DeadLetter
    spans: Spans
    tracked_documents: TrackedDocuments
    dropped: Dropped
    event: Event
    dead_letters: DeadLetters
    def __init__(self, execution: _Optional[_Union[_types_pb2.Execution, _Mapping]] = ..., dead_letter: _Optional[_Union[_types_pb2.DeadLetter, _Mapping]] = ..., spans: _Optional[_Union[Spans, _Mapping]] = ..., tracked_documents: _Optional[_Union[TrackedDocuments, _Mapping]] = ..., dropped: _Optional[_Union[Dropped, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., dead_letters: _Optional[_Union[DeadLetters, _Mapping]] = ...) -> None: ...

class DeadLetters(_message.Message):
    __slots__ = ("common", "letters")
    COMMON_FIELD_NUMBER: _ClassVar[int]
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    common: _types_pb2.DeadLetter
    letters: _containers.RepeatedCompositeFieldContainer[_types_pb2.DeadLetter]
    def __init__(self, common: _Optional[_Union[_types_pb2.DeadLetter, _Mapping]] = ..., letters: _Optional[_Iterable[_Union[_types_pb2.DeadLetter, _Mapping]]] = ...) -> None: ...

class Spans(_message.Message):
    __slots__ = ("otlp", "items", "execution_id")
    OTLP_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    otlp: bytes
    items: int
    execution_id: str
    def __init__(self, otlp: _Optional[bytes] = ..., items: _Optional[int] = ..., execution_id: _Optional[str] = ...) -> None: ...

class TrackedDocuments(_message.Message):
    __slots__ = ("execution_id", "process", "batch", "rows", "arrow", "process_version", "attempt", "part", "settled_at_ms", "hashed")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    PROCESS_VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    HASHED_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    process: str
    batch: int
    rows: int
    arrow: bytes
    process_version: int
    attempt: int
    part: int
    settled_at_ms: int
    hashed: bool
    def __init__(self, execution_id: _Optional[str] = ..., process: _Optional[str] = ..., batch: _Optional[int] = ..., rows: _Optional[int] = ..., arrow: _Optional[bytes] = ..., process_version: _Optional[int] = ..., attempt: _Optional[int] = ..., part: _Optional[int] = ..., settled_at_ms: _Optional[int] = ..., hashed: _Optional[bool] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("signal", "items", "reason")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    signal: str
    items: int
    reason: str
    def __init__(self, signal: _Optional[str] = ..., items: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "status", "occurred_at_ms", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    status: _types_pb2.Status
    occurred_at_ms: int
    fields: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[str] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., occurred_at_ms: _Optional[int] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...
