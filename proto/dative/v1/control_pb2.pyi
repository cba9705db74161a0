import datetime

from dative.v1 import agent_pb2 as _agent_pb2
from dative.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoginRequest(_message.Message):
    __slots__ = ("token", "subject")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    token: str
    subject: str
    def __init__(self, token: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class LoginResponse(_message.Message):
    __slots__ = ("access_token", "refresh_token", "expires_at", "subject", "organization_id")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    refresh_token: str
    expires_at: _timestamp_pb2.Timestamp
    subject: str
    organization_id: str
    def __init__(self, access_token: _Optional[str] = ..., refresh_token: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subject: _Optional[str] = ..., organization_id: _Optional[str] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("subject", "roles", "organization_id", "controller_version")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_VERSION_FIELD_NUMBER: _ClassVar[int]
    subject: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    organization_id: str
    controller_version: str
    def __init__(self, subject: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., organization_id: _Optional[str] = ..., controller_version: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("sequence", "at", "actor", "action", "object", "decision", "request_digest", "hash")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at: _timestamp_pb2.Timestamp
    actor: str
    action: str
    object: str
    decision: str
    request_digest: str
    hash: str
    def __init__(self, sequence: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., action: _Optional[str] = ..., object: _Optional[str] = ..., decision: _Optional[str] = ..., request_digest: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("before_sequence", "page_size")
    BEFORE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    before_sequence: int
    page_size: int
    def __init__(self, before_sequence: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListAuditResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...

class VerifyAuditRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyAuditResponse(_message.Message):
    __slots__ = ("entries", "head_hash", "status")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    entries: int
    head_hash: str
    status: _types_pb2.Status
    def __init__(self, entries: _Optional[int] = ..., head_hash: _Optional[str] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ...) -> None: ...

class GetTrustRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTrustResponse(_message.Message):
    __slots__ = ("trust_envelope", "online_public_key", "ca_certificate_pem")
    TRUST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    ONLINE_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    trust_envelope: bytes
    online_public_key: bytes
    ca_certificate_pem: bytes
    def __init__(self, trust_envelope: _Optional[bytes] = ..., online_public_key: _Optional[bytes] = ..., ca_certificate_pem: _Optional[bytes] = ...) -> None: ...

class PutTrustRequest(_message.Message):
    __slots__ = ("request_id", "trust_envelope")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRUST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    trust_envelope: bytes
    def __init__(self, request_id: _Optional[str] = ..., trust_envelope: _Optional[bytes] = ...) -> None: ...

class PutTrustResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("name", "connector", "settings", "secrets")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    name: str
    connector: str
    settings: _containers.ScalarMap[str, str]
    secrets: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., connector: _Optional[str] = ..., settings: _Optional[_Mapping[str, str]] = ..., secrets: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("environment_id", "name", "production", "connections", "overrides", "version", "created_at", "secrets", "require_approval", "allows")
    class OverridesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    ALLOWS_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    name: str
    production: bool
    connections: _containers.RepeatedCompositeFieldContainer[Connection]
    overrides: _containers.ScalarMap[str, str]
    version: int
    created_at: _timestamp_pb2.Timestamp
    secrets: _containers.RepeatedCompositeFieldContainer[SecretName]
    require_approval: bool
    allows: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, environment_id: _Optional[str] = ..., name: _Optional[str] = ..., production: _Optional[bool] = ..., connections: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ..., overrides: _Optional[_Mapping[str, str]] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[SecretName, _Mapping]]] = ..., require_approval: _Optional[bool] = ..., allows: _Optional[_Iterable[str]] = ...) -> None: ...

class SecretName(_message.Message):
    __slots__ = ("name", "version", "set_at", "set_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SET_AT_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    set_at: _timestamp_pb2.Timestamp
    set_by: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., set_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., set_by: _Optional[str] = ...) -> None: ...

class CreateEnvironmentRequest(_message.Message):
    __slots__ = ("request_id", "name", "production")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    production: bool
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., production: _Optional[bool] = ...) -> None: ...

class CreateEnvironmentResponse(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: Environment
    def __init__(self, environment: _Optional[_Union[Environment, _Mapping]] = ...) -> None: ...

class ListEnvironmentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEnvironmentsResponse(_message.Message):
    __slots__ = ("environments",)
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    environments: _containers.RepeatedCompositeFieldContainer[Environment]
    def __init__(self, environments: _Optional[_Iterable[_Union[Environment, _Mapping]]] = ...) -> None: ...

class GetEnvironmentRequest(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: str
    def __init__(self, environment: _Optional[str] = ...) -> None: ...

class GetEnvironmentResponse(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: Environment
    def __init__(self, environment: _Optional[_Union[Environment, _Mapping]] = ...) -> None: ...

class SetEnvironmentRequest(_message.Message):
    __slots__ = ("request_id", "environment", "expected_version", "set_connections", "delete_connections", "set_overrides", "delete_overrides", "require_approval", "allow", "disallow")
    class SetOverridesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    SET_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    DELETE_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    SET_OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    DELETE_OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DISALLOW_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    expected_version: int
    set_connections: _containers.RepeatedCompositeFieldContainer[Connection]
    delete_connections: _containers.RepeatedScalarFieldContainer[str]
    set_overrides: _containers.ScalarMap[str, str]
    delete_overrides: _containers.RepeatedScalarFieldContainer[str]
    require_approval: bool
    allow: _containers.RepeatedScalarFieldContainer[str]
    disallow: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., expected_version: _Optional[int] = ..., set_connections: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ..., delete_connections: _Optional[_Iterable[str]] = ..., set_overrides: _Optional[_Mapping[str, str]] = ..., delete_overrides: _Optional[_Iterable[str]] = ..., require_approval: _Optional[bool] = ..., allow: _Optional[_Iterable[str]] = ..., disallow: _Optional[_Iterable[str]] = ...) -> None: ...

class SetEnvironmentResponse(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: Environment
    def __init__(self, environment: _Optional[_Union[Environment, _Mapping]] = ...) -> None: ...

class PutSealedSecretsRequest(_message.Message):
    __slots__ = ("request_id", "environment", "sealed_set", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SEALED_SET_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    sealed_set: bytes
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., sealed_set: _Optional[bytes] = ..., expected_version: _Optional[int] = ...) -> None: ...

class PutSealedSecretsResponse(_message.Message):
    __slots__ = ("digest", "version")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    digest: str
    version: int
    def __init__(self, digest: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetSealedSecretsRequest(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: str
    def __init__(self, environment: _Optional[str] = ...) -> None: ...

class GetSealedSecretsResponse(_message.Message):
    __slots__ = ("sealed_set", "digest", "version")
    SEALED_SET_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    sealed_set: bytes
    digest: str
    version: int
    def __init__(self, sealed_set: _Optional[bytes] = ..., digest: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Molecule(_message.Message):
    __slots__ = ("environment_id", "environment", "name", "settings", "created_at", "atoms", "status")
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ATOMS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    environment_id: str
    environment: str
    name: str
    settings: _types_pb2.MoleculeSettings
    created_at: _timestamp_pb2.Timestamp
    atoms: _containers.RepeatedCompositeFieldContainer[Atom]
    status: _types_pb2.MoleculeStatus
    def __init__(self, environment_id: _Optional[str] = ..., environment: _Optional[str] = ..., name: _Optional[str] = ..., settings: _Optional[_Union[_types_pb2.MoleculeSettings, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., atoms: _Optional[_Iterable[_Union[Atom, _Mapping]]] = ..., status: _Optional[_Union[_types_pb2.MoleculeStatus, _Mapping]] = ...) -> None: ...

class CreateMoleculeRequest(_message.Message):
    __slots__ = ("request_id", "environment", "name", "settings")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    name: str
    settings: _types_pb2.MoleculeSettings
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., name: _Optional[str] = ..., settings: _Optional[_Union[_types_pb2.MoleculeSettings, _Mapping]] = ...) -> None: ...

class CreateMoleculeResponse(_message.Message):
    __slots__ = ("molecule", "warnings")
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    molecule: Molecule
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, molecule: _Optional[_Union[Molecule, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListMoleculesRequest(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: str
    def __init__(self, environment: _Optional[str] = ...) -> None: ...

class ListMoleculesResponse(_message.Message):
    __slots__ = ("molecules",)
    MOLECULES_FIELD_NUMBER: _ClassVar[int]
    molecules: _containers.RepeatedCompositeFieldContainer[Molecule]
    def __init__(self, molecules: _Optional[_Iterable[_Union[Molecule, _Mapping]]] = ...) -> None: ...

class GetMoleculeRequest(_message.Message):
    __slots__ = ("environment", "name")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    environment: str
    name: str
    def __init__(self, environment: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetMoleculeResponse(_message.Message):
    __slots__ = ("molecule",)
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    molecule: Molecule
    def __init__(self, molecule: _Optional[_Union[Molecule, _Mapping]] = ...) -> None: ...

class SetMoleculeRequest(_message.Message):
    __slots__ = ("request_id", "environment", "name", "expected_version", "settings")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    name: str
    expected_version: int
    settings: _types_pb2.MoleculeSettings
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., settings: _Optional[_Union[_types_pb2.MoleculeSettings, _Mapping]] = ...) -> None: ...

class SetMoleculeResponse(_message.Message):
    __slots__ = ("molecule", "warnings")
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    molecule: Molecule
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, molecule: _Optional[_Union[Molecule, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveMoleculeRequest(_message.Message):
    __slots__ = ("request_id", "environment", "name")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    name: str
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class RemoveMoleculeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Atom(_message.Message):
    __slots__ = ("atom_id", "name", "environment_id", "molecule_id", "state", "description", "observed", "desired_generation", "phase", "status", "enrolled_at", "last_seen_at", "certificate_expires_at", "heartbeat", "seal_public_key", "seal_key_fingerprint", "environment")
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    DESIRED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    SEAL_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SEAL_KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    atom_id: str
    name: str
    environment_id: str
    molecule_id: str
    state: str
    description: _types_pb2.AtomDescription
    observed: _types_pb2.ObservedState
    desired_generation: int
    phase: _types_pb2.Phase
    status: _types_pb2.Status
    enrolled_at: _timestamp_pb2.Timestamp
    last_seen_at: _timestamp_pb2.Timestamp
    certificate_expires_at: _timestamp_pb2.Timestamp
    heartbeat: _agent_pb2.Heartbeat
    seal_public_key: bytes
    seal_key_fingerprint: str
    environment: str
    def __init__(self, atom_id: _Optional[str] = ..., name: _Optional[str] = ..., environment_id: _Optional[str] = ..., molecule_id: _Optional[str] = ..., state: _Optional[str] = ..., description: _Optional[_Union[_types_pb2.AtomDescription, _Mapping]] = ..., observed: _Optional[_Union[_types_pb2.ObservedState, _Mapping]] = ..., desired_generation: _Optional[int] = ..., phase: _Optional[_Union[_types_pb2.Phase, str]] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., enrolled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., certificate_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., heartbeat: _Optional[_Union[_agent_pb2.Heartbeat, _Mapping]] = ..., seal_public_key: _Optional[bytes] = ..., seal_key_fingerprint: _Optional[str] = ..., environment: _Optional[str] = ...) -> None: ...

class CreateJoinTokenRequest(_message.Message):
    __slots__ = ("request_id", "environment", "molecule", "ttl", "max_uses", "require_approval")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    molecule: str
    ttl: _duration_pb2.Duration
    max_uses: int
    require_approval: bool
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., molecule: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_uses: _Optional[int] = ..., require_approval: _Optional[bool] = ...) -> None: ...

class CreateJoinTokenResponse(_message.Message):
    __slots__ = ("join_token", "ca_pin", "expires_at")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CA_PIN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    ca_pin: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, join_token: _Optional[str] = ..., ca_pin: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListAtomsRequest(_message.Message):
    __slots__ = ("environment",)
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    environment: str
    def __init__(self, environment: _Optional[str] = ...) -> None: ...

class ListAtomsResponse(_message.Message):
    __slots__ = ("atoms",)
    ATOMS_FIELD_NUMBER: _ClassVar[int]
    atoms: _containers.RepeatedCompositeFieldContainer[Atom]
    def __init__(self, atoms: _Optional[_Iterable[_Union[Atom, _Mapping]]] = ...) -> None: ...

class GetAtomRequest(_message.Message):
    __slots__ = ("atom",)
    ATOM_FIELD_NUMBER: _ClassVar[int]
    atom: str
    def __init__(self, atom: _Optional[str] = ...) -> None: ...

class GetAtomResponse(_message.Message):
    __slots__ = ("atom",)
    ATOM_FIELD_NUMBER: _ClassVar[int]
    atom: Atom
    def __init__(self, atom: _Optional[_Union[Atom, _Mapping]] = ...) -> None: ...

class ApproveAtomRequest(_message.Message):
    __slots__ = ("request_id", "atom", "seal_key_fingerprint")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    SEAL_KEY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    atom: str
    seal_key_fingerprint: str
    def __init__(self, request_id: _Optional[str] = ..., atom: _Optional[str] = ..., seal_key_fingerprint: _Optional[str] = ...) -> None: ...

class ApproveAtomResponse(_message.Message):
    __slots__ = ("atom",)
    ATOM_FIELD_NUMBER: _ClassVar[int]
    atom: Atom
    def __init__(self, atom: _Optional[_Union[Atom, _Mapping]] = ...) -> None: ...

class RevokeAtomRequest(_message.Message):
    __slots__ = ("request_id", "atom", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    atom: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., atom: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeAtomResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainAtomRequest(_message.Message):
    __slots__ = ("request_id", "atom", "resume")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    atom: str
    resume: bool
    def __init__(self, request_id: _Optional[str] = ..., atom: _Optional[str] = ..., resume: _Optional[bool] = ...) -> None: ...

class DrainAtomResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FleetTestConnectionRequest(_message.Message):
    __slots__ = ("environment", "connection", "atom")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    environment: str
    connection: str
    atom: str
    def __init__(self, environment: _Optional[str] = ..., connection: _Optional[str] = ..., atom: _Optional[str] = ...) -> None: ...

class FleetTestConnectionResponse(_message.Message):
    __slots__ = ("atom", "result")
    ATOM_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    atom: str
    result: _agent_pb2.TestConnectionResult
    def __init__(self, atom: _Optional[str] = ..., result: _Optional[_Union[_agent_pb2.TestConnectionResult, _Mapping]] = ...) -> None: ...

class GetDesiredRequest(_message.Message):
    __slots__ = ("environment", "molecule")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    environment: str
    molecule: str
    def __init__(self, environment: _Optional[str] = ..., molecule: _Optional[str] = ...) -> None: ...

class GetDesiredResponse(_message.Message):
    __slots__ = ("generation", "release_epoch", "manifest_envelope", "check_index", "environment", "secrets_digest", "organization_id", "trust_version", "atoms")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    CHECK_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SECRETS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    TRUST_VERSION_FIELD_NUMBER: _ClassVar[int]
    ATOMS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    release_epoch: int
    manifest_envelope: bytes
    check_index: int
    environment: Environment
    secrets_digest: str
    organization_id: str
    trust_version: int
    atoms: int
    def __init__(self, generation: _Optional[int] = ..., release_epoch: _Optional[int] = ..., manifest_envelope: _Optional[bytes] = ..., check_index: _Optional[int] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., secrets_digest: _Optional[str] = ..., organization_id: _Optional[str] = ..., trust_version: _Optional[int] = ..., atoms: _Optional[int] = ...) -> None: ...

class PutBlobRequest(_message.Message):
    __slots__ = ("digest", "size", "data")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size: int
    data: bytes
    def __init__(self, digest: _Optional[str] = ..., size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PutBlobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetBlobRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class GetBlobResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class MissingBlobsRequest(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class MissingBlobsResponse(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateDeploymentRequest(_message.Message):
    __slots__ = ("request_id", "manifest_envelope", "expected_check_index", "reason", "kind", "rollout")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CHECK_INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    manifest_envelope: bytes
    expected_check_index: int
    reason: str
    kind: str
    rollout: RolloutPolicy
    def __init__(self, request_id: _Optional[str] = ..., manifest_envelope: _Optional[bytes] = ..., expected_check_index: _Optional[int] = ..., reason: _Optional[str] = ..., kind: _Optional[str] = ..., rollout: _Optional[_Union[RolloutPolicy, _Mapping]] = ...) -> None: ...

class RolloutPolicy(_message.Message):
    __slots__ = ("max_unavailable", "gate", "activate_within", "return_envelope")
    MAX_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATE_WITHIN_FIELD_NUMBER: _ClassVar[int]
    RETURN_ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    max_unavailable: int
    gate: _duration_pb2.Duration
    activate_within: _duration_pb2.Duration
    return_envelope: bytes
    def __init__(self, max_unavailable: _Optional[int] = ..., gate: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., activate_within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., return_envelope: _Optional[bytes] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("deployment_id", "state", "reason", "failed_atom", "max_unavailable", "gate", "can_return", "returned_as", "return_until")
    DEPLOYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAILED_ATOM_FIELD_NUMBER: _ClassVar[int]
    MAX_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    CAN_RETURN_FIELD_NUMBER: _ClassVar[int]
    RETURNED_AS_FIELD_NUMBER: _ClassVar[int]
    RETURN_UNTIL_FIELD_NUMBER: _ClassVar[int]
    deployment_id: str
    state: str
    reason: str
    failed_atom: str
    max_unavailable: int
    gate: _duration_pb2.Duration
    can_return: bool
    returned_as: int
    return_until: _timestamp_pb2.Timestamp
    def __init__(self, deployment_id: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., failed_atom: _Optional[str] = ..., max_unavailable: _Optional[int] = ..., gate: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., can_return: _Optional[bool] = ..., returned_as: _Optional[int] = ..., return_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateDeploymentResponse(_message.Message):
    __slots__ = ("deployment_id", "generation")
    DEPLOYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    deployment_id: str
    generation: int
    def __init__(self, deployment_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class Deployment(_message.Message):
    __slots__ = ("deployment_id", "environment_id", "molecule_id", "generation", "manifest_digest", "kind", "created_by", "created_at", "reason", "processes", "trace_id", "rollback_of")
    DEPLOYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_OF_FIELD_NUMBER: _ClassVar[int]
    deployment_id: str
    environment_id: str
    molecule_id: str
    generation: int
    manifest_digest: str
    kind: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    reason: str
    processes: _containers.RepeatedScalarFieldContainer[str]
    trace_id: str
    rollback_of: int
    def __init__(self, deployment_id: _Optional[str] = ..., environment_id: _Optional[str] = ..., molecule_id: _Optional[str] = ..., generation: _Optional[int] = ..., manifest_digest: _Optional[str] = ..., kind: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., processes: _Optional[_Iterable[str]] = ..., trace_id: _Optional[str] = ..., rollback_of: _Optional[int] = ...) -> None: ...

class WatchDeploymentRequest(_message.Message):
    __slots__ = ("deployment_id",)
    DEPLOYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    deployment_id: str
    def __init__(self, deployment_id: _Optional[str] = ...) -> None: ...

class WatchDeploymentResponse(_message.Message):
    __slots__ = ("deployment", "atoms", "done", "rollout")
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    ATOMS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    deployment: Deployment
    atoms: _containers.RepeatedCompositeFieldContainer[AtomProgress]
    done: bool
    rollout: Rollout
    def __init__(self, deployment: _Optional[_Union[Deployment, _Mapping]] = ..., atoms: _Optional[_Iterable[_Union[AtomProgress, _Mapping]]] = ..., done: _Optional[bool] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class AtomProgress(_message.Message):
    __slots__ = ("atom_id", "name", "phase", "status", "online", "step", "gate_until")
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    GATE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    atom_id: str
    name: str
    phase: _types_pb2.Phase
    status: _types_pb2.Status
    online: bool
    step: str
    gate_until: _timestamp_pb2.Timestamp
    def __init__(self, atom_id: _Optional[str] = ..., name: _Optional[str] = ..., phase: _Optional[_Union[_types_pb2.Phase, str]] = ..., status: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., online: _Optional[bool] = ..., step: _Optional[str] = ..., gate_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeploymentsRequest(_message.Message):
    __slots__ = ("environment", "molecule", "page_size", "before_generation")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    environment: str
    molecule: str
    page_size: int
    before_generation: int
    def __init__(self, environment: _Optional[str] = ..., molecule: _Optional[str] = ..., page_size: _Optional[int] = ..., before_generation: _Optional[int] = ...) -> None: ...

class ListDeploymentsResponse(_message.Message):
    __slots__ = ("deployments",)
    DEPLOYMENTS_FIELD_NUMBER: _ClassVar[int]
    deployments: _containers.RepeatedCompositeFieldContainer[Deployment]
    def __init__(self, deployments: _Optional[_Iterable[_Union[Deployment, _Mapping]]] = ...) -> None: ...

class ControlRunProcessRequest(_message.Message):
    __slots__ = ("request_id", "environment", "process", "molecule", "atom", "trace", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    process: str
    molecule: str
    atom: str
    trace: bool
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., process: _Optional[str] = ..., molecule: _Optional[str] = ..., atom: _Optional[str] = ..., trace: _Optional[bool] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ControlRunProcessResponse(_message.Message):
    __slots__ = ("execution_id", "atom")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    atom: str
    def __init__(self, execution_id: _Optional[str] = ..., atom: _Optional[str] = ...) -> None: ...

class ControlDryRunRequest(_message.Message):
    __slots__ = ("request_id", "environment", "process", "molecule", "atom", "parameters", "documents_max", "shown_max", "reader_public_key")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_MAX_FIELD_NUMBER: _ClassVar[int]
    SHOWN_MAX_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    process: str
    molecule: str
    atom: str
    parameters: _containers.ScalarMap[str, str]
    documents_max: int
    shown_max: int
    reader_public_key: bytes
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., process: _Optional[str] = ..., molecule: _Optional[str] = ..., atom: _Optional[str] = ..., parameters: _Optional[_Mapping[str, str]] = ..., documents_max: _Optional[int] = ..., shown_max: _Optional[int] = ..., reader_public_key: _Optional[bytes] = ...) -> None: ...

class ControlDryRunResponse(_message.Message):
    __slots__ = ("sealed_outcome", "atom")
    SEALED_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    sealed_outcome: bytes
    atom: str
    def __init__(self, sealed_outcome: _Optional[bytes] = ..., atom: _Optional[str] = ...) -> None: ...

class ControlProfileStepsRequest(_message.Message):
    __slots__ = ("request_id", "environment", "process", "molecule", "atom", "steps")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    MOLECULE_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    process: str
    molecule: str
    atom: str
    steps: _containers.RepeatedCompositeFieldContainer[_agent_pb2.StepQuestion]
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., process: _Optional[str] = ..., molecule: _Optional[str] = ..., atom: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[_agent_pb2.StepQuestion, _Mapping]]] = ...) -> None: ...

class ControlProfileStepsResponse(_message.Message):
    __slots__ = ("steps", "atom")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[_agent_pb2.StepProfile]
    atom: str
    def __init__(self, steps: _Optional[_Iterable[_Union[_agent_pb2.StepProfile, _Mapping]]] = ..., atom: _Optional[str] = ...) -> None: ...

class ControlCancelExecutionRequest(_message.Message):
    __slots__ = ("request_id", "execution_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    execution_id: str
    def __init__(self, request_id: _Optional[str] = ..., execution_id: _Optional[str] = ...) -> None: ...

class ControlCancelExecutionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListExecutionsRequest(_message.Message):
    __slots__ = ("environment", "process", "states", "since", "page_size", "before_execution_id")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    environment: str
    process: str
    states: _containers.RepeatedScalarFieldContainer[_types_pb2.ExecutionState]
    since: _timestamp_pb2.Timestamp
    page_size: int
    before_execution_id: str
    def __init__(self, environment: _Optional[str] = ..., process: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_types_pb2.ExecutionState, str]]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., before_execution_id: _Optional[str] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_before_execution_id")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_BEFORE_EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[_types_pb2.Execution]
    next_before_execution_id: str
    def __init__(self, executions: _Optional[_Iterable[_Union[_types_pb2.Execution, _Mapping]]] = ..., next_before_execution_id: _Optional[str] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class GetExecutionResponse(_message.Message):
    __slots__ = ("execution", "dead_letters", "atom_name", "notices")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    ATOM_NAME_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    execution: _types_pb2.Execution
    dead_letters: _containers.RepeatedCompositeFieldContainer[_types_pb2.DeadLetter]
    atom_name: str
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    def __init__(self, execution: _Optional[_Union[_types_pb2.Execution, _Mapping]] = ..., dead_letters: _Optional[_Iterable[_Union[_types_pb2.DeadLetter, _Mapping]]] = ..., atom_name: _Optional[str] = ..., notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("level", "title", "text", "step", "at")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    level: str
    title: str
    text: str
    step: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, level: _Optional[str] = ..., title: _Optional[str] = ..., text: _Optional[str] = ..., step: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FindDocumentsRequest(_message.Message):
    __slots__ = ("key", "environment", "page_size", "field", "process", "since", "until", "before", "sealed_key", "atom")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEALED_KEY_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    key: str
    environment: str
    page_size: int
    field: str
    process: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    before: str
    sealed_key: bytes
    atom: str
    def __init__(self, key: _Optional[str] = ..., environment: _Optional[str] = ..., page_size: _Optional[int] = ..., field: _Optional[str] = ..., process: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., before: _Optional[str] = ..., sealed_key: _Optional[bytes] = ..., atom: _Optional[str] = ...) -> None: ...

class Hasher(_message.Message):
    __slots__ = ("environment", "environment_id", "atom", "seal_public_key")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    SEAL_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    environment: str
    environment_id: str
    atom: str
    seal_public_key: bytes
    def __init__(self, environment: _Optional[str] = ..., environment_id: _Optional[str] = ..., atom: _Optional[str] = ..., seal_public_key: _Optional[bytes] = ...) -> None: ...

class FoundDocument(_message.Message):
    __slots__ = ("execution_id", "environment_id", "process", "atom_id", "document", "keys", "outcome", "step", "target", "reason", "dead_letter_id", "trace_id", "at", "process_version", "attempt", "batch", "code", "hashed_keys", "effect", "part_number")
    class KeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    ATOM_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    HASHED_KEYS_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    environment_id: str
    process: str
    atom_id: str
    document: int
    keys: _containers.ScalarMap[str, str]
    outcome: str
    step: str
    target: str
    reason: str
    dead_letter_id: str
    trace_id: str
    at: _timestamp_pb2.Timestamp
    process_version: int
    attempt: int
    batch: int
    code: str
    hashed_keys: _containers.RepeatedScalarFieldContainer[str]
    effect: str
    part_number: int
    def __init__(self, execution_id: _Optional[str] = ..., environment_id: _Optional[str] = ..., process: _Optional[str] = ..., atom_id: _Optional[str] = ..., document: _Optional[int] = ..., keys: _Optional[_Mapping[str, str]] = ..., outcome: _Optional[str] = ..., step: _Optional[str] = ..., target: _Optional[str] = ..., reason: _Optional[str] = ..., dead_letter_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., process_version: _Optional[int] = ..., attempt: _Optional[int] = ..., batch: _Optional[int] = ..., code: _Optional[str] = ..., hashed_keys: _Optional[_Iterable[str]] = ..., effect: _Optional[str] = ..., part_number: _Optional[int] = ...) -> None: ...

class FindDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_before", "hashers")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    HASHERS_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[FoundDocument]
    next_before: str
    hashers: _containers.RepeatedCompositeFieldContainer[Hasher]
    def __init__(self, documents: _Optional[_Iterable[_Union[FoundDocument, _Mapping]]] = ..., next_before: _Optional[str] = ..., hashers: _Optional[_Iterable[_Union[Hasher, _Mapping]]] = ...) -> None: ...

class ControlReadReceiptsRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class ControlReadReceiptsResponse(_message.Message):
    __slots__ = ("execution", "parts")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    execution: _types_pb2.Execution
    parts: _containers.RepeatedCompositeFieldContainer[_agent_pb2.ReceiptPart]
    def __init__(self, execution: _Optional[_Union[_types_pb2.Execution, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[_agent_pb2.ReceiptPart, _Mapping]]] = ...) -> None: ...

class GetTraceRequest(_message.Message):
    __slots__ = ("trace_id", "execution_id")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    execution_id: str
    def __init__(self, trace_id: _Optional[str] = ..., execution_id: _Optional[str] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("trace_id", "span_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "service", "instance", "error", "status_message", "attributes", "links")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    service: str
    instance: str
    error: bool
    status_message: str
    attributes: _containers.ScalarMap[str, str]
    links: _containers.RepeatedCompositeFieldContainer[SpanLink]
    def __init__(self, trace_id: _Optional[str] = ..., span_id: _Optional[str] = ..., parent_span_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., service: _Optional[str] = ..., instance: _Optional[str] = ..., error: _Optional[bool] = ..., status_message: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., links: _Optional[_Iterable[_Union[SpanLink, _Mapping]]] = ...) -> None: ...

class SpanLink(_message.Message):
    __slots__ = ("trace_id", "span_id", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    span_id: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, trace_id: _Optional[str] = ..., span_id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetTraceResponse(_message.Message):
    __slots__ = ("spans", "incomplete")
    SPANS_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    incomplete: bool
    def __init__(self, spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., incomplete: _Optional[bool] = ...) -> None: ...

class ExportSpansRequest(_message.Message):
    __slots__ = ("otlp",)
    OTLP_FIELD_NUMBER: _ClassVar[int]
    otlp: bytes
    def __init__(self, otlp: _Optional[bytes] = ...) -> None: ...

class ExportSpansResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("environment", "process", "code", "state", "page_size", "before_dead_letter_id", "execution_id", "queue", "assignee", "created_after", "created_before")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    environment: str
    process: str
    code: str
    state: str
    page_size: int
    before_dead_letter_id: str
    execution_id: str
    queue: str
    assignee: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, environment: _Optional[str] = ..., process: _Optional[str] = ..., code: _Optional[str] = ..., state: _Optional[str] = ..., page_size: _Optional[int] = ..., before_dead_letter_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., queue: _Optional[str] = ..., assignee: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_before_dead_letter_id")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_BEFORE_DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[_types_pb2.DeadLetter]
    next_before_dead_letter_id: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[_types_pb2.DeadLetter, _Mapping]]] = ..., next_before_dead_letter_id: _Optional[str] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("dead_letter_id", "reader_public_key", "reveal")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    reader_public_key: bytes
    reveal: bool
    def __init__(self, dead_letter_id: _Optional[str] = ..., reader_public_key: _Optional[bytes] = ..., reveal: _Optional[bool] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ("dead_letter", "sealed_payload", "seal_public_key", "classified", "abridged")
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    SEALED_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SEAL_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIED_FIELD_NUMBER: _ClassVar[int]
    ABRIDGED_FIELD_NUMBER: _ClassVar[int]
    dead_letter: _types_pb2.DeadLetter
    sealed_payload: bytes
    seal_public_key: bytes
    classified: _containers.RepeatedScalarFieldContainer[str]
    abridged: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dead_letter: _Optional[_Union[_types_pb2.DeadLetter, _Mapping]] = ..., sealed_payload: _Optional[bytes] = ..., seal_public_key: _Optional[bytes] = ..., classified: _Optional[_Iterable[str]] = ..., abridged: _Optional[_Iterable[str]] = ...) -> None: ...

class ControlRepairDeadLetterRequest(_message.Message):
    __slots__ = ("request_id", "dead_letter_id", "sealed_fields", "expected_revision", "dry_run", "reader_public_key", "reveal")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    dead_letter_id: str
    sealed_fields: bytes
    expected_revision: int
    dry_run: bool
    reader_public_key: bytes
    reveal: bool
    def __init__(self, request_id: _Optional[str] = ..., dead_letter_id: _Optional[str] = ..., sealed_fields: _Optional[bytes] = ..., expected_revision: _Optional[int] = ..., dry_run: _Optional[bool] = ..., reader_public_key: _Optional[bytes] = ..., reveal: _Optional[bool] = ...) -> None: ...

class ControlRepairDeadLetterResponse(_message.Message):
    __slots__ = ("revision", "sealed_outcome")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEALED_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    revision: int
    sealed_outcome: bytes
    def __init__(self, revision: _Optional[int] = ..., sealed_outcome: _Optional[bytes] = ...) -> None: ...

class ControlRetryDeadLettersRequest(_message.Message):
    __slots__ = ("request_id", "environment", "dead_letter_ids", "process", "code", "matching", "rate_per_s", "chunk")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_IDS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    dead_letter_ids: _containers.RepeatedScalarFieldContainer[str]
    process: str
    code: str
    matching: _types_pb2.DeadLetterSelection
    rate_per_s: float
    chunk: int
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., dead_letter_ids: _Optional[_Iterable[str]] = ..., process: _Optional[str] = ..., code: _Optional[str] = ..., matching: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., rate_per_s: _Optional[float] = ..., chunk: _Optional[int] = ...) -> None: ...

class ControlRetryDeadLettersResponse(_message.Message):
    __slots__ = ("execution_ids", "dead_letters", "retry_ids")
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    RETRY_IDS_FIELD_NUMBER: _ClassVar[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[str]
    dead_letters: int
    retry_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, execution_ids: _Optional[_Iterable[str]] = ..., dead_letters: _Optional[int] = ..., retry_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ControlDiscardDeadLettersRequest(_message.Message):
    __slots__ = ("request_id", "environment", "selection", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    selection: _types_pb2.DeadLetterSelection
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ControlAssignDeadLettersRequest(_message.Message):
    __slots__ = ("request_id", "environment", "selection", "assignee")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    selection: _types_pb2.DeadLetterSelection
    assignee: str
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., assignee: _Optional[str] = ...) -> None: ...

class ControlExpireDeadLettersRequest(_message.Message):
    __slots__ = ("request_id", "environment", "selection", "keep")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    selection: _types_pb2.DeadLetterSelection
    keep: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., selection: _Optional[_Union[_types_pb2.DeadLetterSelection, _Mapping]] = ..., keep: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ControlChangeDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: int
    def __init__(self, dead_letters: _Optional[int] = ...) -> None: ...

class ControlRevealTokenRequest(_message.Message):
    __slots__ = ("environment", "token", "reader_public_key")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    READER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    environment: str
    token: str
    reader_public_key: bytes
    def __init__(self, environment: _Optional[str] = ..., token: _Optional[str] = ..., reader_public_key: _Optional[bytes] = ...) -> None: ...

class ControlRevealTokenResponse(_message.Message):
    __slots__ = ("sealed_value", "environment_id", "reader", "atom")
    SEALED_VALUE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_ID_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    sealed_value: bytes
    environment_id: str
    reader: str
    atom: str
    def __init__(self, sealed_value: _Optional[bytes] = ..., environment_id: _Optional[str] = ..., reader: _Optional[str] = ..., atom: _Optional[str] = ...) -> None: ...

class ControlReadXrefRequest(_message.Message):
    __slots__ = ("environment", "atom", "question")
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    environment: str
    atom: str
    question: _types_pb2.XrefQuestion
    def __init__(self, environment: _Optional[str] = ..., atom: _Optional[str] = ..., question: _Optional[_Union[_types_pb2.XrefQuestion, _Mapping]] = ...) -> None: ...

class ControlReadXrefResponse(_message.Message):
    __slots__ = ("answer", "atom")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    answer: _types_pb2.XrefAnswer
    atom: str
    def __init__(self, answer: _Optional[_Union[_types_pb2.XrefAnswer, _Mapping]] = ..., atom: _Optional[str] = ...) -> None: ...

class ControlChangeXrefRequest(_message.Message):
    __slots__ = ("request_id", "environment", "atom", "change")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    environment: str
    atom: str
    change: _types_pb2.XrefChange
    def __init__(self, request_id: _Optional[str] = ..., environment: _Optional[str] = ..., atom: _Optional[str] = ..., change: _Optional[_Union[_types_pb2.XrefChange, _Mapping]] = ...) -> None: ...

class ControlChangeXrefResponse(_message.Message):
    __slots__ = ("changed", "atom")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ATOM_FIELD_NUMBER: _ClassVar[int]
    changed: _types_pb2.XrefChanged
    atom: str
    def __init__(self, changed: _Optional[_Union[_types_pb2.XrefChanged, _Mapping]] = ..., atom: _Optional[str] = ...) -> None: ...
