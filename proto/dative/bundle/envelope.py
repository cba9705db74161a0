"""DSSE envelopes: bytes, their type, and signatures over both.

Decides whether enough keys signed. Knows neither what the payload means nor who the keys belong to.
Source: DSSE v1.0.2, https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md and envelope.md.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dative.bundle.canonical import JSON, canonical_json, parse_strict
from dative.bundle.keys import PublicKey, SigningKey
from dative.errors.bundle import (
    BAD_SIGNATURE,
    BELOW_THRESHOLD,
    TOO_LARGE,
    WRONG_ROLE,
    WRONG_TYPE,
    BundleRefused,
)

SIGNATURES_MAX = 16  # each one may be tried against every key of a role, so that their product stays small
_ENVELOPE_DEPTH_MAX = 4
_STANDARD = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Signature:
    keyid: str  # a hint only; what counts is which key the signature fits
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        return canonical_json(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode()}
                    for signature in self.signatures
                ],
            }
        )

    @classmethod
    def parse(cls, data: bytes, *, bytes_max: int) -> Envelope:
        """Read an envelope; nothing in it is to be believed yet. Fields that DSSE does not name are passed over.

        Errors: bundle.too_large (also for more than SIGNATURES_MAX signatures); bundle.malformed.
        """
        body = parse_strict(data, bytes_max=bytes_max, depth_max=_ENVELOPE_DEPTH_MAX)
        payload_type = _text(body, "payloadType")
        signatures = body.get("signatures") if isinstance(body, dict) else None
        if not isinstance(signatures, list):
            raise BundleRefused("the envelope has no list of signatures")
        if len(signatures) > SIGNATURES_MAX:
            raise BundleRefused(f"{len(signatures)} signatures, {SIGNATURES_MAX} are allowed", code=TOO_LARGE)
        return cls(payload_type, _bytes(body, "payload"), tuple(_signature(entry) for entry in signatures))

    def signed_bytes(self) -> bytes:
        """DSSE's pre-authentication encoding: type and payload with their lengths; neither can pass as the other."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


def sign(payload_type: str, payload: bytes, keys: Sequence[SigningKey]) -> Envelope:
    """An envelope of `payload` with one signature by each of `keys`."""
    unsigned = Envelope(payload_type, payload, ())
    message = unsigned.signed_bytes()
    return Envelope(payload_type, payload, tuple(Signature(key.keyid, key.sign(message)) for key in keys))


def countersign(envelope: Envelope, key: SigningKey) -> Envelope:
    """The same payload with one more signature: how a second person approves what a first one made."""
    mine = Signature(key.keyid, key.sign(envelope.signed_bytes()))
    others = tuple(signature for signature in envelope.signatures if signature.keyid != key.keyid)
    return Envelope(envelope.payload_type, envelope.payload, (*others, mine))


def signers(envelope: Envelope, keys: Mapping[str, PublicKey]) -> frozenset[str]:
    """Ids of those of `keys` that signed. Distinct keys, not signatures: one key's signature twice counts once."""
    message = envelope.signed_bytes()
    found: set[str] = set()
    for signature in envelope.signatures:
        # The hinted key goes first; a wrong hint costs time, never trust.
        for key in sorted(keys.values(), key=lambda key: key.keyid != signature.keyid):
            if key.keyid not in found and _fits(key, signature.sig, message):
                found.add(key.keyid)
                break
    return frozenset(found)


def verified_payload(
    envelope: Envelope,
    *,
    payload_type: str,
    keys: Mapping[str, PublicKey],
    threshold: int,
    other_keys: Mapping[str, PublicKey] | None = None,
) -> bytes:
    """The payload, once at least `threshold` different keys of `keys` signed it as `payload_type`.

    other_keys: keys of other roles, only to say "wrong role" instead of "bad signature".
    Errors: bundle.wrong_type, bundle.bad_signature, bundle.wrong_role, bundle.below_threshold.
    """
    if threshold < 1:
        raise ValueError("a threshold below 1 would accept unsigned bytes")
    if envelope.payload_type != payload_type:
        raise BundleRefused(f"expected {payload_type}, got {envelope.payload_type[:80]}", code=WRONG_TYPE)
    signed = signers(envelope, keys)
    if len(signed) >= threshold:
        return envelope.payload
    if not signed and envelope.signatures:
        if other_keys and signers(envelope, other_keys):
            raise BundleRefused(f"signed by a key that may not sign {payload_type}", code=WRONG_ROLE)
        hints = ", ".join(signature.keyid[:12] for signature in envelope.signatures)
        raise BundleRefused(f"no signature fits a trusted key; they claim to be of {hints}", code=BAD_SIGNATURE)
    raise BundleRefused(f"signed by {len(signed)} of the {threshold} different keys needed", code=BELOW_THRESHOLD)


def _fits(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except BundleRefused:
        return False
    return True


def _signature(entry: JSON) -> Signature:
    keyid = entry.get("keyid", "") if isinstance(entry, dict) else ""
    if not isinstance(keyid, str):
        raise BundleRefused("a signature's keyid is no text")
    return Signature(keyid, _bytes(entry, "sig"))


def _text(body: JSON, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise BundleRefused(f"the envelope has no text {name}")
    return value


def _bytes(body: JSON, name: str) -> bytes:
    # Both base64 alphabets, as the specification asks of readers.
    try:
        return base64.b64decode(_text(body, name).encode().translate(_STANDARD), validate=True)
    except binascii.Error as broken:
        raise BundleRefused(f"{name} of the envelope is not base64") from broken
