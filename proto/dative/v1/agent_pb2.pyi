import datetime

from dative.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnrollAtomRequest(_message.Message):
    __slots__ = ("join_token", "csr_der", "seal_public_key", "description", "name")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    SEAL_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    csr_der: bytes
    seal_public_key: bytes
    description: _types_pb2.AtomDescription
    name: str
    def __init__(self, join_token: _Optional[str] = ..., csr_der: _Optional[bytes] = ..., seal_public_key: _Optional[bytes] = ..., description: _Optional[_Union[_types_pb2.AtomDescription, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class EnrollAtomResponse(_message.Message):
    __slots__ = ("atom_id", "name", "organization_id", "environment_id", "environment", "molecule_id", "certificate_chain_pem", "ca_certificate_pem", "trust_envelope", "endpoints", "retry_after", "molecule_settings")
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    TRUST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    atom_id: str
    name: str
    organization_id: str
    environment_id: str
    environment: str
    molecule_id: str
    certificate_chain_pem: bytes
    ca_certificate_pem: bytes
    trust_envelope: bytes
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    retry_after: _duration_pb2.Duration
    molecule_settings: _types_pb2.MoleculeSettings
    def __init__(self, atom_id: _Optional[str] = ..., name: _Optional[str] = ..., organization_id: _Optional[str] = ..., environment_id: _Optional[str] = ..., environment: _Optional[str] = ..., molecule_id: _Optional[str] = ..., certificate_chain_pem: _Optional[bytes] = ..., ca_certificate_pem: _Optional[bytes] = ..., trust_envelope: _Optional[bytes] = ..., endpoints: _Optional[_Iterable[str]] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., molecule_settings: _Optional[_Union[_types_pb2.MoleculeSettings, _Mapping]] = ...) -> None: ...

class ConnectRequest(_message.Message):
    __slots__ = ("sequence", "hello", "heartbeat", "desired_state_ack", "status_report", "command_result", "goodbye", "molecule_status")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_ACK_FIELD_NUMBER: _ClassVar[int]
    STATUS_REPORT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_RESULT_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_STATUS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    hello: Hello
    heartbeat: Heartbeat
    desired_state_ack: DesiredStateAck
    status_report: StatusReport
    command_result: CommandResult
    goodbye: Goodbye
    molecule_status: _types_pb2.MoleculeStatus
    def __init__(self, sequence: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., desired_state_ack: _Optional[_Union[DesiredStateAck, _Mapping]] = ..., status_report: _Optional[_Union[StatusReport, _Mapping]] = ..., command_result: _Optional[_Union[CommandResult, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., molecule_status: _Optional[_Union[_types_pb2.MoleculeStatus, _Mapping]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("welcome", "heartbeat_ack", "desired_state", "command", "reconnect", "report_full_state", "molecule_config")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FULL_STATE_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    heartbeat_ack: HeartbeatAck
    desired_state: DesiredState
    command: Command
    reconnect: Reconnect
    report_full_state: ReportFullState
    molecule_config: MoleculeConfig
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., desired_state: _Optional[_Union[DesiredState, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., reconnect: _Optional[_Union[Reconnect, _Mapping]] = ..., report_full_state: _Optional[_Union[ReportFullState, _Mapping]] = ..., molecule_config: _Optional[_Union[MoleculeConfig, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "capabilities", "description", "observed", "phase", "status", "trust_version", "revocation_version", "draining", "slots", "boot_nonce", "instance_id")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TRUST_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_VERSION_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    BOOT_NONCE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    description: _types_pb2.AtomDescription
    observed: _types_pb2.ObservedState
    phase: _types_pb2.Phase
    status: _types_pb2.Status
    trust_version: int
    revocation_version: int
    draining: bool
    slots: int
    boot_nonce: str
    instance_id: str
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., description: _Optional[_Union[_types_pb2.AtomDescription, _Mapping]] = ..., observed: _Optional[_Union[_types_pb2.ObservedState, _Mapping]] = ..., phase: _Optional[_Union[_types_pb2.Phase, str]] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., trust_version: _Optional[int] = ..., revocation_version: _Optional[int] = ..., draining: _Optional[bool] = ..., slots: _Optional[int] = ..., boot_nonce: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "protocol", "heartbeat_interval", "reconnect_jitter", "controller_time", "store_epoch", "molecule_config")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_JITTER_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_TIME_FIELD_NUMBER: _ClassVar[int]
    STORE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    protocol: int
    heartbeat_interval: _duration_pb2.Duration
    reconnect_jitter: _duration_pb2.Duration
    controller_time: _timestamp_pb2.Timestamp
    store_epoch: int
    molecule_config: MoleculeConfig
    def __init__(self, session_id: _Optional[str] = ..., protocol: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reconnect_jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., controller_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., store_epoch: _Optional[int] = ..., molecule_config: _Optional[_Union[MoleculeConfig, _Mapping]] = ...) -> None: ...

class MoleculeConfig(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: _types_pb2.MoleculeSettings
    def __init__(self, settings: _Optional[_Union[_types_pb2.MoleculeSettings, _Mapping]] = ...) -> None: ...

class DesiredState(_message.Message):
    __slots__ = ("environment_id", "molecule_id", "release_epoch", "generation", "nonce", "manifest_envelope", "manifest_digest", "trust_envelope", "freshness_envelope", "fetch_jitter", "traceparent", "trust_chain")
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TRUST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    FETCH_JITTER_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRUST_CHAIN_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    molecule_id: str
    release_epoch: int
    generation: int
    nonce: str
    manifest_envelope: bytes
    manifest_digest: str
    trust_envelope: bytes
    freshness_envelope: bytes
    fetch_jitter: _duration_pb2.Duration
    traceparent: str
    trust_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, environment_id: _Optional[str] = ..., molecule_id: _Optional[str] = ..., release_epoch: _Optional[int] = ..., generation: _Optional[int] = ..., nonce: _Optional[str] = ..., manifest_envelope: _Optional[bytes] = ..., manifest_digest: _Optional[str] = ..., trust_envelope: _Optional[bytes] = ..., freshness_envelope: _Optional[bytes] = ..., fetch_jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., traceparent: _Optional[str] = ..., trust_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DesiredStateAck(_message.Message):
    __slots__ = ("nonce", "observed", "generation", "phase", "status")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    observed: _types_pb2.ObservedState
    generation: int
    phase: _types_pb2.Phase
    status: _types_pb2.Status
    def __init__(self, nonce: _Optional[str] = ..., observed: _Optional[_Union[_types_pb2.ObservedState, _Mapping]] = ..., generation: _Optional[int] = ..., phase: _Optional[_Union[_types_pb2.Phase, str]] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("healthy", "running_executions", "spooled_records", "spooled_bytes", "draining", "rss_bytes")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    running_executions: int
    spooled_records: int
    spooled_bytes: int
    draining: bool
    rss_bytes: int
    def __init__(self, healthy: _Optional[bool] = ..., running_executions: _Optional[int] = ..., spooled_records: _Optional[int] = ..., spooled_bytes: _Optional[int] = ..., draining: _Optional[bool] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class StatusReport(_message.Message):
    __slots__ = ("components",)
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    components: _containers.RepeatedCompositeFieldContainer[ComponentHealth]
    def __init__(self, components: _Optional[_Iterable[_Union[ComponentHealth, _Mapping]]] = ...) -> None: ...

class ComponentHealth(_message.Message):
    __slots__ = ("path", "healthy", "last_error", "changed_at")
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    path: str
    healthy: bool
    last_error: _types_pb2.Status
    changed_at: _timestamp_pb2.Timestamp
    def __init__(self, path: _Optional[str] = ..., healthy: _Optional[bool] = ..., last_error: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Reconnect(_message.Message):
    __slots__ = ("after", "jitter")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    after: _duration_pb2.Duration
    jitter: _duration_pb2.Duration
    def __init__(self, after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ReportFullState(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("command_id", "expires_at", "traceparent", "run_process", "cancel_execution", "retry_dead_letters", "show_dead_letter", "drain", "repair_dead_letter", "test_connection", "hash_key", "read_receipts", "reveal_token", "discard_dead_letters", "assign_dead_letters", "expire_dead_letters", "dry_run", "read_xref", "change_xref", "profile_steps", "actor")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    RUN_PROCESS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    RETRY_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    SHOW_DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    REPAIR_DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    TEST_CONNECTION_FIELD_NUMBER: _ClassVar[int]
    HASH_KEY_FIELD_NUMBER: _ClassVar[int]
    READ_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REVEAL_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DISCARD_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    READ_XREF_FIELD_NUMBER: _ClassVar[int]
    CHANGE_XREF_FIELD_NUMBER: _ClassVar[int]
    PROFILE_STEPS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    expires_at: _timestamp_pb2.Timestamp
    traceparent: str
    run_process: RunProcess
    cancel_execution: CancelExecution
    retry_dead_letters: RetryDeadLetters
    show_dead_letter: ShowDeadLetter
    drain: Drain
    repair_dead_letter: RepairDeadLetter
    test_connection: TestConnection
    hash_key: HashKey
    read_receipts: ReadReceipts
    reveal_token: RevealToken
    discard_dead_letters: DiscardDeadLetters
    assign_dead_letters: AssignDeadLetters
    expire_dead_letters: ExpireDeadLetters
    dry_run: DryRun
    read_xref: _types_pb2.XrefQuestion
    change_xref: _types_pb2.XrefChange
    profile_steps: ProfileSteps
    actor: str
    def __init__(self, command_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., traceparent: _Optional[str] = ..., run_process: _Optional[_Union[RunProcess, _Mapping]] = ..., cancel_execution: _Optional[_Union[CancelExecution, _Mapping]] = ..., retry_dead_letters: _Optional[_Union[RetryDeadLetters, _Mapping]] = ..., show_dead_letter: _Optional[_Union[ShowDeadLetter, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., repair_dead_letter: _Optional[_Union[RepairDeadLetter, _Mapping]] = ..., test_connection: _Optional[_Union[TestConnection, _Mapping]] = ..., hash_key: _Optional[_Union[HashKey, _Mapping]] = ..., read_receipts: _Optional[_Union[ReadReceipts, _Mapping]] = ..., reveal_token: _Optional[_Union[RevealToken, _Mapping]] = ..., discard_dead_letters: _Optional[_Union[DiscardDeadLetters, _Mapping]] = ..., assign_dead_letters: _Optional[_Union[AssignDeadLetters, _Mapping]] = ..., expire_dead_letters: _Optional[_Union[ExpireDeadLetters, _Mapping]] = ..., dry_run: _Optional[_Union[DryRun, _Mapping]] = ..., read_xref: _Optional[_Union[_types_pb2.XrefQuestion, _Mapping]] = ..., change_xref: _Optional[_Union[_types_pb2.XrefChange, _Mapping]] = ..., profile_steps: _Optional[_Union[ProfileSteps, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class CommandResult(_message.Message):
    __slots__ = ("command_id", "status", "run_process", "retry_dead_letters", "show_dead_letter", "test_connection", "hash_key", "read_receipts", "reveal_token", "repair_dead_letter", "change_dead_letters", "dry_run", "read_xref", "change_xref", "profile_steps")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RUN_PROCESS_FIELD_NUMBER: _ClassVar[int]
    RETRY_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    SHOW_DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    TEST_CONNECTION_FIELD_NUMBER: _ClassVar[int]
    HASH_KEY_FIELD_NUMBER: _ClassVar[int]
    READ_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REVEAL_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REPAIR_DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    CHANGE_DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    READ_XREF_FIELD_NUMBER: _ClassVar[int]
    CHANGE_XREF_FIELD_NUMBER: _ClassVar[int]
    PROFILE_STEPS_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    status: _types_pb2.Status
    run_process: RunProcessResult
    retry_dead_letters: RetryDeadLettersResult
    show_dead_letter: ShowDeadLetterResult
    test_connection: TestConnectionResult
    hash_key: HashKeyResult
    read_receipts: ReadReceiptsResult
    reveal_token: RevealTokenResult
    repair_dead_letter: RepairDeadLetterResult
    change_dead_letters: ChangeDeadLettersResult
    dry_run: DryRunResult
    read_xref: _types_pb2.XrefAnswer
    change_xref: _types_pb2.XrefChanged
    profile_steps: ProfileStepsResult
    def __init__(self, command_id: _Optional[str] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., run_process: _Optional[_Union[RunProcessResult, _Mapping]] = ..., retry_dead_letters: _Optional[_Union[RetryDeadLettersResult, _Mapping]] = ..., show_dead_letter: _Optional[_Union[ShowDeadLetterResult, _Mapping]] = ..., test_connection: _Optional[_Union[TestConnectionResult, _Mapping]] = ..., hash_key: _Optional[_Union[HashKeyResult, _Mapping]] = ..., read_receipts: _Optional[_Union[ReadReceiptsResult, _Mapping]] = ..., reveal_token: _Optional[_Union[RevealTokenResult, _Mapping]] = ..., repair_dead_letter: _Optional[_Union[RepairDeadLetterResult, _Mapping]] = ..., change_dead_letters: _Optional[_Union[ChangeDeadLettersResult, _Mapping]] = ..., dry_run: _Optional[_Union[DryRunResult, _Mapping]] = ..., read_xref: _Optional[_Union[_types_pb2.XrefAnswer, _Mapping]] = ..., change_xref: _Optional[_Union[_types_pb2.XrefChanged, _Mapping]] = ..., profile_steps: _Optional[_Union[ProfileStepsResult, _Mapping]] = ...) -> None: ...

class RunProcess(_message.Message):
    __slots__ = ("process", "trace", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    process: str
    trace: bool
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, process: _Optional[str] = ..., trace: _Optional[bool] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RunProcessResult(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class DryRun(_message.Message):
    __slots__ = ("process", "parameters", "documents_max", "shown_max", "reader_public_key")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_MAX_FIELD_NUMBER: _ClassVar[int]
    SHOWN_MAX_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    process: str
    parameters: _containers.ScalarMap[str, str]
    documents_max: int
    shown_max: int
    reader_public_key: bytes
    def __init__(self, process: _Optional[str] = ..., parameters: _Optional[_Mapping[str, str]] = ..., documents_max: _Optional[int] = ..., shown_max: _Optional[int] = ..., reader_public_key: _Optional[bytes] = ...) -> None: ...

class DryRunResult(_message.Message):
    __slots__ = ("sealed_outcome",)
    SEALED_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    sealed_outcome: bytes
    def __init__(self, sealed_outcome: _Optional[bytes] = ...) -> None: ...

class ProfileSteps(_message.Message):
    __slots__ = ("process", "steps")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    process: str
    steps: _containers.RepeatedCompositeFieldContainer[StepQuestion]
    def __init__(self, process: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[StepQuestion, _Mapping]]] = ...) -> None: ...

class StepQuestion(_message.Message):
    __slots__ = ("step", "connection", "operation", "options")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    step: str
    connection: str
    operation: str
    options: str
    def __init__(self, step: _Optional[str] = ..., connection: _Optional[str] = ..., operation: _Optional[str] = ..., options: _Optional[str] = ...) -> None: ...

class ProfileStepsResult(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[StepProfile]
    def __init__(self, steps: _Optional[_Iterable[_Union[StepProfile, _Mapping]]] = ...) -> None: ...

class StepProfile(_message.Message):
    __slots__ = ("step", "fields", "code", "reason")
    STEP_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    step: str
    fields: _containers.RepeatedCompositeFieldContainer[ProfileField]
    code: str
    reason: str
    def __init__(self, step: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[ProfileField, _Mapping]]] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ProfileField(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class CancelExecution(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class RetryDeadLetters(_message.Message):
    __slots__ = ("dead_letter_ids", "matching", "rate_per_s", "chunk")
    DEAD_LETTER_IDS_FIELD_NUMBER: _ClassVar[int]
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    dead_letter_ids: _containers.RepeatedScalarFieldContainer[str]
    matching: _types_pb2.DeadLetterSelection
    rate_per_s: float
    chunk: int
    def __init__(self, dead_letter_ids: _Optional[_Iterable[str]] = ..., matching: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., rate_per_s: _Optional[float] = ..., chunk: _Optional[int] = ...) -> None: ...

class RetryDeadLettersResult(_message.Message):
    __slots__ = ("execution_ids", "retry_ids", "dead_letters")
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    RETRY_IDS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[str]
    retry_ids: _containers.RepeatedScalarFieldContainer[str]
    dead_letters: int
    def __init__(self, execution_ids: _Optional[_Iterable[str]] = ..., retry_ids: _Optional[_Iterable[str]] = ..., dead_letters: _Optional[int] = ...) -> None: ...

class ShowDeadLetter(_message.Message):
    __slots__ = ("dead_letter_id", "reader_public_key", "reveal")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    reader_public_key: bytes
    reveal: bool
    def __init__(self, dead_letter_id: _Optional[str] = ..., reader_public_key: _Optional[bytes] = ..., reveal: _Optional[bool] = ...) -> None: ...

class ShowDeadLetterResult(_message.Message):
    __slots__ = ("dead_letter", "sealed_payload", "classified", "abridged")
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    SEALED_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIED_FIELD_NUMBER: _ClassVar[int]
    ABRIDGED_FIELD_NUMBER: _ClassVar[int]
    dead_letter: _types_pb2.DeadLetter
    sealed_payload: bytes
    classified: _containers.RepeatedScalarFieldContainer[str]
    abridged: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dead_letter: _Optional[_Union[_types_pb2.DeadLetter, _Mapping]] = ..., sealed_payload: _Optional[bytes] = ..., classified: _Optional[_Iterable[str]] = ..., abridged: _Optional[_Iterable[str]] = ...) -> None: ...

class RepairDeadLetter(_message.Message):
    __slots__ = ("dead_letter_id", "sealed_fields", "expected_revision", "dry_run", "reader_public_key", "reveal")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    sealed_fields: bytes
    expected_revision: int
    dry_run: bool
    reader_public_key: bytes
    reveal: bool
    def __init__(self, dead_letter_id: _Optional[str] = ..., sealed_fields: _Optional[bytes] = ..., expected_revision: _Optional[int] = ..., dry_run: _Optional[bool] = ..., reader_public_key: _Optional[bytes] = ..., reveal: _Optional[bool] = ...) -> None: ...

class RepairDeadLetterResult(_message.Message):
    __slots__ = ("revision", "sealed_outcome")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEALED_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    revision: int
    sealed_outcome: bytes
    def __init__(self, revision: _Optional[int] = ..., sealed_outcome: _Optional[bytes] = ...) -> None: ...

class DiscardDeadLetters(_message.Message):
    __slots__ = ("selection", "reason")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    selection: _types_pb2.DeadLetterSelection
    reason: str
    def __init__(self, selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class AssignDeadLetters(_message.Message):
    __slots__ = ("selection", "assignee")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    selection: _types_pb2.DeadLetterSelection
    assignee: str
    def __init__(self, selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., assignee: _Optional[str] = ...) -> None: ...

class ExpireDeadLetters(_message.Message):
    __slots__ = ("selection", "keep")
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    selection: _types_pb2.DeadLetterSelection
    keep: _duration_pb2.Duration
    def __init__(self, selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., keep: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ChangeDeadLettersResult(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: int
    def __init__(self, dead_letters: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("resume",)
    RESUME_FIELD_NUMBER: _ClassVar[int]
    resume: bool
    def __init__(self, resume: _Optional[bool] = ...) -> None: ...

class TestConnection(_message.Message):
    __slots__ = ("connection",)
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    connection: str
    def __init__(self, connection: _Optional[str] = ...) -> None: ...

class TestConnectionResult(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    def __init__(self, checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "passed", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    passed: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., passed: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class HashKey(_message.Message):
    __slots__ = ("sealed_value",)
    SEALED_VALUE_FIELD_NUMBER: _ClassVar[int]
    sealed_value: bytes
    def __init__(self, sealed_value: _Optional[bytes] = ...) -> None: ...

class HashKeyResult(_message.Message):
    __slots__ = ("hash",)
    HASH_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    def __init__(self, hash: _Optional[bytes] = ...) -> None: ...

class ReadReceipts(_message.Message):
    __slots__ = ("execution_id", "after")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after: str
    def __init__(self, execution_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class ReadReceiptsResult(_message.Message):
    __slots__ = ("parts", "next")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[ReceiptPart]
    next: str
    def __init__(self, parts: _Optional[_Iterable[_Union[ReceiptPart, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class ReceiptPart(_message.Message):
    __slots__ = ("sequence", "batch", "step", "attempt", "fencing_token", "settled_at_ms", "rows", "size", "offset", "data")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    batch: int
    step: str
    attempt: int
    fencing_token: int
    settled_at_ms: int
    rows: int
    size: int
    offset: int
    data: bytes
    def __init__(self, sequence: _Optional[int] = ..., batch: _Optional[int] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ..., fencing_token: _Optional[int] = ..., settled_at_ms: _Optional[int] = ..., rows: _Optional[int] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class RevealToken(_message.Message):
    __slots__ = ("token", "reader_public_key")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    token: str
    reader_public_key: bytes
    def __init__(self, token: _Optional[str] = ..., reader_public_key: _Optional[bytes] = ...) -> None: ...

class RevealTokenResult(_message.Message):
    __slots__ = ("sealed_value", "reader")
    SEALED_VALUE_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    sealed_value: bytes
    reader: str
    def __init__(self, sealed_value: _Optional[bytes] = ..., reader: _Optional[str] = ...) -> None: ...

class FetchBlobRequest(_message.Message):
    __slots__ = ("digest", "offset")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class FetchBlobResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("csr_der",)
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    csr_der: bytes
    def __init__(self, csr_der: _Optional[bytes] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate_chain_pem", "ca_certificate_pem")
    CERTIFICATE_CHAIN_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    certificate_chain_pem: bytes
    ca_certificate_pem: bytes
    def __init__(self, certificate_chain_pem: _Optional[bytes] = ..., ca_certificate_pem: _Optional[bytes] = ...) -> None: ...
