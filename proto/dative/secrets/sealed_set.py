"""An environment's secrets, sealed by the CLI to its atoms; the controller stores and sends ciphertext only.

Each set has a fresh random key, sealed to every recipient; the values stand under it. Whom to seal to is a list signed
by the release role; who made the set is proven to the next maker by a code that only the recovery key can compute, and
to the atoms by the signed manifest, which names the set by digest. Pure; knows no files.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dative.bundle.envelope import Envelope, sign, verified_payload
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import RECIPIENTS_TYPE, Counter, Id, Moment, read_document, write_document
from dative.bundle.trust import TrustDocument
from dative.errors.bundle import BundleRefused
from dative.errors.secrets import (
    CANNOT_OPEN,
    NO_RECOVERY_KEY,
    NOT_AUTHENTIC,
    NOT_RECIPIENT,
    RECIPIENTS_ROLLBACK,
    TOO_LARGE,
    SecretsRefused,
)
from dative.secrets.seal import SealKey, open_sealed, seal, seal_info
from dative.secrets.secret import Secret

RECOVERY_ID = "recovery"
RECIPIENTS_MAX = 10_000
VALUES_MAX = 1000
VALUE_BYTES_MAX = 64 << 10
SET_BYTES_MAX = 16 << 20
_RECIPIENTS_BYTES_MAX = 2 << 20
_RECIPIENTS_ENVELOPE_BYTES_MAX = _RECIPIENTS_BYTES_MAX * 4 // 3 + 8192
_NONCE_BYTES = 12
_KEY_BYTES = 32

_Key = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")]


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """id: an atom's id, or "recovery". public: its raw X25519 key in hex."""

    id: Id
    public: _Key


class RecipientList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The document that the release role signs when atoms are approved or leave. version: +1 at each change."""

    schema_: Literal["dative.recipients/v1"] = msgspec.field(default="dative.recipients/v1", name="schema")
    organization_id: Id
    environment_id: Id
    version: Counter
    issued_at: Moment
    recipients: Annotated[tuple[Recipient, ...], msgspec.Meta(min_length=1, max_length=RECIPIENTS_MAX)]

    def __post_init__(self) -> None:
        for what in ("id", "public"):
            if len({getattr(recipient, what) for recipient in self.recipients}) != len(self.recipients):
                raise ValueError(f"two recipients of the same {what}")


class Recipients(msgspec.Struct, frozen=True):
    """A recipient list whose signatures hold. Made by `verify_recipients`; sealing takes nothing else."""

    list: RecipientList
    envelope: bytes

    def public_of(self, recipient_id: str) -> bytes | None:
        return next((bytes.fromhex(one.public) for one in self.list.recipients if one.id == recipient_id), None)


class SealedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    public: _Key
    sealed_key: bytes


class SealedValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """version: +1 each time this value is set; the one thing about it that anybody may read."""

    name: _Name
    version: Counter
    ciphertext: bytes


class SealedSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All sealed secrets of one environment. version and key_epoch: +1 at each making.

    maker: code over everything else, under a key that only the recovery key gives.
    """

    schema_: Literal["dative.sealed-secrets/v1"] = msgspec.field(default="dative.sealed-secrets/v1", name="schema")
    environment_id: Id
    version: Counter
    key_epoch: Counter
    recipients: Annotated[tuple[SealedKey, ...], msgspec.Meta(max_length=RECIPIENTS_MAX)]
    values: Annotated[tuple[SealedValue, ...], msgspec.Meta(max_length=VALUES_MAX)]
    recipients_version: Counter
    recipients_envelope: bytes
    maker: bytes

    def to_bytes(self) -> bytes:
        return write_document(self)

    @classmethod
    def parse(cls, data: bytes) -> SealedSet:
        """Errors: secrets.malformed, secrets.too_large."""
        try:
            return read_document(cls, data, bytes_max=SET_BYTES_MAX, what="sealed set")
        except BundleRefused as wrong:
            raise SecretsRefused(wrong.message) from wrong

    def versions(self) -> dict[str, int]:
        """Name -> version, for lists and plans."""
        return {value.name: value.version for value in self.values}


def sign_recipients(
    recipients: Sequence[Recipient],
    keys: Sequence[SigningKey],
    *,
    organization_id: str,
    environment_id: str,
    version: int,
    now: datetime,
) -> bytes:
    """The signed list, as an envelope's bytes. Errors: secrets.malformed."""
    body = {
        "schema": "dative.recipients/v1",
        "organization_id": organization_id,
        "environment_id": environment_id,
        "version": version,
        "issued_at": now,
        "recipients": [msgspec.to_builtins(one) for one in sorted(recipients, key=lambda one: one.id)],
    }
    try:
        document = msgspec.convert(body, RecipientList)
    except msgspec.ValidationError as wrong:
        raise SecretsRefused(f"recipient list: {wrong}") from wrong
    return sign(RECIPIENTS_TYPE, write_document(document), keys).to_bytes()


def verify_recipients(
    envelope_bytes: bytes, *, trust: TrustDocument, environment_id: str, version_min: int = 1
) -> Recipients:
    """The list, when the release role signed it for this environment: the only thing that may be sealed to.

    version_min: the highest version seen before, so that an old list with a removed atom can not come back.
    Errors: BundleRefused for its signatures; secrets.malformed, secrets.recipients_rollback.
    """
    role = trust.role("release")
    payload = verified_payload(
        Envelope.parse(envelope_bytes, bytes_max=_RECIPIENTS_ENVELOPE_BYTES_MAX),
        payload_type=RECIPIENTS_TYPE,
        keys=trust.role_keys("release"),
        threshold=role.threshold,
        other_keys=trust.other_keys("release"),
    )
    document = read_document(RecipientList, payload, bytes_max=_RECIPIENTS_BYTES_MAX, what="recipient list")
    if (document.organization_id, document.environment_id) != (trust.organization_id, environment_id):
        raise SecretsRefused(f"a recipient list of environment {document.environment_id}, not {environment_id}")
    if document.version < version_min:
        raise SecretsRefused(f"version {document.version} after {version_min}", code=RECIPIENTS_ROLLBACK)
    return Recipients(document, envelope_bytes)


def seal_values(
    previous: SealedSet | None,
    opener: SealKey | None,
    changes: Mapping[str, str | None],
    recipients: Recipients,
    environment_id: str,
) -> SealedSet:
    """The next set: `previous` with `changes`, sealed to exactly `recipients`. Nobody types a secret again for it.

    opener: the recovery key, which is on every list. changes: name -> new value, None takes it away; may be empty, as
    when only the recipients changed. Each set has a fresh key, so that neither a removed atom nor a set that was put
    back in the database can learn what is sealed from now on.
    Errors: secrets.no_recovery_key, secrets.not_authentic, secrets.recipients_rollback, secrets.too_large,
    secrets.malformed.
    """
    if opener is None or recipients.public_of(RECOVERY_ID) != opener.public_raw:
        raise SecretsRefused("the recovery key is not here, or not on the recipient list", code=NO_RECOVERY_KEY)
    if recipients.list.environment_id != environment_id:
        raise SecretsRefused(f"the recipient list is of environment {recipients.list.environment_id}")
    plain, versions = _continue(previous, opener, recipients, environment_id)
    for name, value in changes.items():
        if value is None:
            plain.pop(name, None)
        else:
            plain[name] = value
            versions[name] = versions.get(name, 0) + 1
    number = previous.version + 1 if previous else 1
    epoch = previous.key_epoch + 1 if previous else 1
    return _make(plain, versions, recipients, environment_id, number, epoch, opener)


def open_set(sealed: bytes, key: SealKey, recipient_id: str) -> dict[str, Secret]:
    """Every secret of a set, for one recipient. `sealed` was verified by its digest in a signed manifest.

    Errors: secrets.malformed, secrets.not_recipient, secrets.cannot_open.
    """
    parsed = SealedSet.parse(sealed)
    return {name: Secret(value) for name, value in _open(parsed, key, recipient_id).items()}


def exposed(previous: SealedSet, recipients: Recipients) -> tuple[str, ...]:
    """Names of the secrets that somebody no longer on the list could open: to be changed at their source."""
    staying = {(one.id, one.public) for one in recipients.list.recipients}
    left = any((one.id, one.public) not in staying for one in previous.recipients)
    return tuple(sorted(previous.versions())) if left else ()


def _continue(
    previous: SealedSet | None, opener: SealKey, recipients: Recipients, environment_id: str
) -> tuple[dict[str, str], dict[str, int]]:
    if previous is None:
        return {}, {}
    if previous.environment_id != environment_id:
        raise SecretsRefused(f"the former set is of environment {previous.environment_id}")
    if not hmac.compare_digest(previous.maker, _maker(previous, opener)):
        raise SecretsRefused(f"set {previous.version} was not made with this recovery key", code=NOT_AUTHENTIC)
    if recipients.list.version < previous.recipients_version:
        raise SecretsRefused(
            f"recipient list {recipients.list.version} after {previous.recipients_version}", code=RECIPIENTS_ROLLBACK
        )
    return _open(previous, opener, RECOVERY_ID), previous.versions()


def _make(
    plain: Mapping[str, str],
    versions: Mapping[str, int],
    recipients: Recipients,
    environment_id: str,
    version: int,
    key_epoch: int,
    opener: SealKey,
) -> SealedSet:
    if len(plain) > VALUES_MAX:
        raise SecretsRefused(f"{len(plain)} secrets, {VALUES_MAX} are allowed", code=TOO_LARGE)
    key = os.urandom(_KEY_BYTES)
    cipher = AESGCM(key)
    body = {
        "schema": "dative.sealed-secrets/v1",
        "environment_id": environment_id,
        "version": version,
        "key_epoch": key_epoch,
        "recipients": [
            {
                "id": one.id,
                "public": one.public,
                "sealed_key": seal(key, bytes.fromhex(one.public), _key_info(environment_id, key_epoch, one.id)),
            }
            for one in recipients.list.recipients
        ],
        "values": [
            {
                "name": name,
                "version": versions[name],
                "ciphertext": _encrypt(
                    cipher, plain[name], _value_info(environment_id, key_epoch, name, versions[name])
                ),
            }
            for name in sorted(plain)
        ],
        "recipients_version": recipients.list.version,
        "recipients_envelope": recipients.envelope,
        "maker": b"",
    }
    try:
        unsigned = msgspec.convert(body, SealedSet)
    except msgspec.ValidationError as wrong:
        raise SecretsRefused(f"sealed set: {wrong}") from wrong
    return msgspec.structs.replace(unsigned, maker=_maker(unsigned, opener))


def _open(sealed: SealedSet, key: SealKey, recipient_id: str) -> dict[str, str]:
    mine = next((one for one in sealed.recipients if one.id == recipient_id), None)
    if mine is None:
        raise SecretsRefused(f"set {sealed.version} is not sealed to {recipient_id}", code=NOT_RECIPIENT)
    epoch_key = open_sealed(mine.sealed_key, key, _key_info(sealed.environment_id, sealed.key_epoch, recipient_id))
    with contextlib.suppress(InvalidTag, ValueError):
        cipher = AESGCM(epoch_key)
        return {
            value.name: cipher.decrypt(
                value.ciphertext[:_NONCE_BYTES],
                value.ciphertext[_NONCE_BYTES:],
                _value_info(sealed.environment_id, sealed.key_epoch, value.name, value.version),
            ).decode()
            for value in sealed.values
        }
    # Raised outside of the handler: a decoding error carries the value, and a crash report follows causes.
    raise SecretsRefused(f"a value of set {sealed.version} was changed", code=CANNOT_OPEN)


def _encrypt(cipher: AESGCM, value: str, info: bytes) -> bytes:
    data = value.encode()
    if len(data) > VALUE_BYTES_MAX:
        raise SecretsRefused(f"a secret of {len(data)} bytes, {VALUE_BYTES_MAX} are allowed", code=TOO_LARGE)
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, info)


def _key_info(environment_id: str, key_epoch: int, recipient_id: str) -> bytes:
    return seal_info("dative/environment-key/v1", environment_id, str(key_epoch), recipient_id)


def _value_info(environment_id: str, key_epoch: int, name: str, version: int) -> bytes:
    return seal_info("dative/secret/v1", environment_id, str(key_epoch), name, str(version))


def _maker(sealed: SealedSet, opener: SealKey) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"dative/sealed-set-maker/v1").derive(
        opener.to_bytes()
    )
    unsigned = write_document(msgspec.structs.replace(sealed, maker=b""))
    return hmac.digest(derived, unsigned, hashlib.sha256)
