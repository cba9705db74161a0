import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_VERIFIED: _ClassVar[Phase]
    PHASE_STAGED: _ClassVar[Phase]
    PHASE_ACTIVE: _ClassVar[Phase]
    PHASE_ROLLED_BACK: _ClassVar[Phase]
    PHASE_REFUSED: _ClassVar[Phase]

class ExecutionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATE_UNSPECIFIED: _ClassVar[ExecutionState]
    EXECUTION_STATE_PENDING: _ClassVar[ExecutionState]
    EXECUTION_STATE_RUNNING: _ClassVar[ExecutionState]
    EXECUTION_STATE_SUCCEEDED: _ClassVar[ExecutionState]
    EXECUTION_STATE_PARTIAL: _ClassVar[ExecutionState]
    EXECUTION_STATE_FAILED: _ClassVar[ExecutionState]
    EXECUTION_STATE_CANCELLED: _ClassVar[ExecutionState]
PHASE_UNSPECIFIED: Phase
PHASE_VERIFIED: Phase
PHASE_STAGED: Phase
PHASE_ACTIVE: Phase
PHASE_ROLLED_BACK: Phase
PHASE_REFUSED: Phase
EXECUTION_STATE_UNSPECIFIED: ExecutionState
EXECUTION_STATE_PENDING: ExecutionState
EXECUTION_STATE_RUNNING: ExecutionState
EXECUTION_STATE_SUCCEEDED: ExecutionState
EXECUTION_STATE_PARTIAL: ExecutionState
EXECUTION_STATE_FAILED: ExecutionState
EXECUTION_STATE_CANCELLED: ExecutionState

class Status(_message.Message):
    __slots__ = ("code", "message", "where", "next")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    where: str
    next: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., where: _Optional[str] = ..., next: _Optional[str] = ...) -> None: ...

class AtomDescription(_message.Message):
    __slots__ = ("version", "platform", "labels", "host")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    version: str
    platform: str
    labels: _containers.ScalarMap[str, str]
    host: str
    def __init__(self, version: _Optional[str] = ..., platform: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., host: _Optional[str] = ...) -> None: ...

class ObservedState(_message.Message):
    __slots__ = ("environment_id", "molecule_id", "release_epoch", "generation", "manifest_digest")
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    molecule_id: str
    release_epoch: int
    generation: int
    manifest_digest: str
    def __init__(self, environment_id: _Optional[str] = ..., molecule_id: _Optional[str] = ..., release_epoch: _Optional[int] = ..., generation: _Optional[int] = ..., manifest_digest: _Optional[str] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("read", "written", "filtered", "returned", "dead_lettered", "masked", "batches")
    READ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    read: int
    written: int
    filtered: int
    returned: int
    dead_lettered: int
    masked: int
    batches: int
    def __init__(self, read: _Optional[int] = ..., written: _Optional[int] = ..., filtered: _Optional[int] = ..., returned: _Optional[int] = ..., dead_lettered: _Optional[int] = ..., masked: _Optional[int] = ..., batches: _Optional[int] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("execution_id", "environment_id", "molecule_id", "atom_id", "process", "process_version", "trigger", "planned_at", "started_at", "finished_at", "state", "counts", "attempt", "trace_id", "failure", "manifest_digest", "retry_of", "steps", "fencing_token", "attempts")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_VERSION_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    PLANNED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    environment_id: str
    molecule_id: str
    atom_id: str
    process: str
    process_version: int
    trigger: str
    planned_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    state: ExecutionState
    counts: Counts
    attempt: int
    trace_id: str
    failure: Status
    manifest_digest: str
    retry_of: str
    steps: _containers.RepeatedCompositeFieldContainer[StepCounts]
    fencing_token: int
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    def __init__(self, execution_id: _Optional[str] = ..., environment_id: _Optional[str] = ..., molecule_id: _Optional[str] = ..., atom_id: _Optional[str] = ..., process: _Optional[str] = ..., process_version: _Optional[int] = ..., trigger: _Optional[str] = ..., planned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[ExecutionState, str]] = ..., counts: _Optional[_Union[Counts, _Mapping]] = ..., attempt: _Optional[int] = ..., trace_id: _Optional[str] = ..., failure: _Optional[_Union[Status, _Mapping]] = ..., manifest_digest: _Optional[str] = ..., retry_of: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[StepCounts, _Mapping]]] = ..., fencing_token: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("attempt", "atom_id", "atom", "fencing_token", "started_at", "ended_at", "reason", "trace_id")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    atom_id: str
    atom: str
    fencing_token: int
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    reason: str
    trace_id: str
    def __init__(self, attempt: _Optional[int] = ..., atom_id: _Optional[str] = ..., atom: _Optional[str] = ..., fencing_token: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

class MoleculeSettings(_message.Message):
    __slots__ = ("version", "etcd_endpoints", "etcd_ca_pem", "etcd_user", "journal", "lease_ttl")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETCD_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    ETCD_CA_PEM_FIELD_NUMBER: _ClassVar[int]
    ETCD_USER_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    version: int
    etcd_endpoints: _containers.RepeatedScalarFieldContainer[str]
    etcd_ca_pem: str
    etcd_user: str
    journal: str
    lease_ttl: _duration_pb2.Duration
    def __init__(self, version: _Optional[int] = ..., etcd_endpoints: _Optional[_Iterable[str]] = ..., etcd_ca_pem: _Optional[str] = ..., etcd_user: _Optional[str] = ..., journal: _Optional[str] = ..., lease_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class MoleculeStatus(_message.Message):
    __slots__ = ("observed_at", "observer", "term", "leader", "members", "history", "etcd", "failures_tolerated", "pending", "assigned", "running", "quarantined")
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    OBSERVER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ETCD_FIELD_NUMBER: _ClassVar[int]
    FAILURES_TOLERATED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    observed_at: _timestamp_pb2.Timestamp
    observer: str
    term: int
    leader: str
    members: _containers.RepeatedCompositeFieldContainer[MoleculeMember]
    history: _containers.RepeatedCompositeFieldContainer[MoleculeLeader]
    etcd: EtcdStatus
    failures_tolerated: int
    pending: int
    assigned: int
    running: int
    quarantined: _containers.RepeatedCompositeFieldContainer[QuarantinedMember]
    def __init__(self, observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observer: _Optional[str] = ..., term: _Optional[int] = ..., leader: _Optional[str] = ..., members: _Optional[_Iterable[_Union[MoleculeMember, _Mapping]]] = ..., history: _Optional[_Iterable[_Union[MoleculeLeader, _Mapping]]] = ..., etcd: _Optional[_Union[EtcdStatus, _Mapping]] = ..., failures_tolerated: _Optional[int] = ..., pending: _Optional[int] = ..., assigned: _Optional[int] = ..., running: _Optional[int] = ..., quarantined: _Optional[_Iterable[_Union[QuarantinedMember, _Mapping]]] = ...) -> None: ...

class MoleculeMember(_message.Message):
    __slots__ = ("atom_id", "name", "host", "version", "slots", "assigned", "running", "draining", "ready")
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    atom_id: str
    name: str
    host: str
    version: str
    slots: int
    assigned: int
    running: int
    draining: bool
    ready: bool
    def __init__(self, atom_id: _Optional[str] = ..., name: _Optional[str] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., slots: _Optional[int] = ..., assigned: _Optional[int] = ..., running: _Optional[int] = ..., draining: _Optional[bool] = ..., ready: _Optional[bool] = ...) -> None: ...

class MoleculeLeader(_message.Message):
    __slots__ = ("term", "atom_id", "name", "since")
    TERM_FIELD_NUMBER: _ClassVar[int]
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    term: int
    atom_id: str
    name: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, term: _Optional[int] = ..., atom_id: _Optional[str] = ..., name: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EtcdStatus(_message.Message):
    __slots__ = ("cluster_id", "members", "answering", "quorum", "versions", "database_bytes", "database_bytes_max", "alarms")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    ANSWERING_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DATABASE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATABASE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    ALARMS_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    members: int
    answering: int
    quorum: bool
    versions: _containers.ScalarMap[str, str]
    database_bytes: int
    database_bytes_max: int
    alarms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cluster_id: _Optional[str] = ..., members: _Optional[int] = ..., answering: _Optional[int] = ..., quorum: _Optional[bool] = ..., versions: _Optional[_Mapping[str, str]] = ..., database_bytes: _Optional[int] = ..., database_bytes_max: _Optional[int] = ..., alarms: _Optional[_Iterable[str]] = ...) -> None: ...

class QuarantinedMember(_message.Message):
    __slots__ = ("atom_id", "name", "reason", "since")
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    atom_id: str
    name: str
    reason: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, atom_id: _Optional[str] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StepCounts(_message.Message):
    __slots__ = ("step", "verb", "documents_in", "documents_out", "documents_failed", "seconds", "rules")
    class RulesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_IN_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_OUT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FAILED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    step: str
    verb: str
    documents_in: int
    documents_out: int
    documents_failed: int
    seconds: float
    rules: _containers.ScalarMap[str, int]
    def __init__(self, step: _Optional[str] = ..., verb: _Optional[str] = ..., documents_in: _Optional[int] = ..., documents_out: _Optional[int] = ..., documents_failed: _Optional[int] = ..., seconds: _Optional[float] = ..., rules: _Optional[_Mapping[str, int]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("dead_letter_id", "environment_id", "atom_id", "execution_id", "process", "queue", "step", "document", "code", "reason", "field", "keys", "created_at", "expires_at", "attempts", "state", "trace_id", "revision", "assignee", "payload_bytes", "note", "history")
    class KeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    environment_id: str
    atom_id: str
    execution_id: str
    process: str
    queue: str
    step: str
    document: int
    code: str
    reason: str
    field: str
    keys: _containers.ScalarMap[str, str]
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    attempts: int
    state: str
    trace_id: str
    revision: int
    assignee: str
    payload_bytes: int
    note: str
    history: _containers.RepeatedCompositeFieldContainer[DeadLetterEvent]
    def __init__(self, dead_letter_id: _Optional[str] = ..., environment_id: _Optional[str] = ..., atom_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., process: _Optional[str] = ..., queue: _Optional[str] = ..., step: _Optional[str] = ..., document: _Optional[int] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., keys: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., state: _Optional[str] = ..., trace_id: _Optional[str] = ..., revision: _Optional[int] = ..., assignee: _Optional[str] = ..., payload_bytes: _Optional[int] = ..., note: _Optional[str] = ..., history: _Optional[_Iterable[_Union[DeadLetterEvent, _Mapping]]] = ...) -> None: ...

class DeadLetterEvent(_message.Message):
    __slots__ = ("kind", "at", "actor", "execution_id", "step", "code", "reason", "field", "trace_id", "fields", "assignee")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    at: _timestamp_pb2.Timestamp
    actor: str
    execution_id: str
    step: str
    code: str
    reason: str
    field: str
    trace_id: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    assignee: str
    def __init__(self, kind: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., execution_id: _Optional[str] = ..., step: _Optional[str] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., trace_id: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., assignee: _Optional[str] = ...) -> None: ...

class DeadLetterSelection(_message.Message):
    __slots__ = ("dead_letter_ids", "queue", "process", "code", "assignee", "execution_id", "created_after", "created_before", "all")
    DEAD_LETTER_IDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_ids: _containers.RepeatedScalarFieldContainer[str]
    queue: str
    process: str
    code: str
    assignee: str
    execution_id: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    all: bool
    def __init__(self, dead_letter_ids: _Optional[_Iterable[str]] = ..., queue: _Optional[str] = ..., process: _Optional[str] = ..., code: _Optional[str] = ..., assignee: _Optional[str] = ..., execution_id: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., all: _Optional[bool] = ...) -> None: ...

class XrefTable(_message.Message):
    __slots__ = ("name", "columns", "unique", "rows")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    name: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    unique: _containers.RepeatedScalarFieldContainer[str]
    rows: int
    def __init__(self, name: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., unique: _Optional[_Iterable[str]] = ..., rows: _Optional[int] = ...) -> None: ...

class XrefQuestion(_message.Message):
    __slots__ = ("table", "column", "value", "after")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    table: str
    column: str
    value: str
    after: int
    def __init__(self, table: _Optional[str] = ..., column: _Optional[str] = ..., value: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class XrefAnswer(_message.Message):
    __slots__ = ("tables", "csv", "next_after")
    TABLES_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedCompositeFieldContainer[XrefTable]
    csv: bytes
    next_after: int
    def __init__(self, tables: _Optional[_Iterable[_Union[XrefTable, _Mapping]]] = ..., csv: _Optional[bytes] = ..., next_after: _Optional[int] = ...) -> None: ...

class XrefChange(_message.Message):
    __slots__ = ("table", "csv", "unique", "keep_older", "column", "values")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    KEEP_OLDER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    table: str
    csv: bytes
    unique: str
    keep_older: bool
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, table: _Optional[str] = ..., csv: _Optional[bytes] = ..., unique: _Optional[str] = ..., keep_older: _Optional[bool] = ..., column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class XrefChanged(_message.Message):
    __slots__ = ("read", "changed")
    READ_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    read: int
    changed: int
    def __init__(self, read: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...
