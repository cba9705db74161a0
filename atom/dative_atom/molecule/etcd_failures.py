"""What a failed call to etcd proves: the one place where gRPC's statuses and etcd's words become our errors.

The question that matters is whether a write may hold. Only answers that etcd gives before it proposes or applies a request
prove that it does not; everything else leaves it open (Invariant 8). This file sends nothing.
Source: etcd's `api/v3rpc/rpctypes/error.go` (texts), `server/etcdserver/v3_server.go` and `apply/` (when each is given).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import grpc
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_FULL, COORDINATION_INVALID, COORDINATION_REFUSED

from dative_atom.molecule.coordination import Ambiguous, Compacted, LeaseGone, Unavailable

__all__ = ["Failure", "Proof", "error_of", "failure_of", "proof_of_text"]


class Proof(Enum):
    """What is known after a failed call."""

    UNKNOWN = "it may hold: the answer was lost, or etcd gave up waiting for itself"
    NOT_APPLIED = "it was not sent, or refused before it was proposed; another member may take it"
    OLD_CREDENTIALS = "not applied: the user's token is unknown or old"
    REFUSED = "not applied: certificate, user or rights"
    FULL = "the database is full; it may hold all the same"
    LEASE_GONE = "not applied: the lease ended"
    COMPACTED = "that history is gone"
    INVALID = "not applied: etcd does not take such a request"


# First match wins. `no leader` and `too many requests` are said before a proposal is made. `leader changed`, `request timed out`,
# `server stopped` and `request canceled` may come after it, so they prove nothing and stand in no line here.
_TEXTS: tuple[tuple[str, Proof], ...] = (
    ("invalid auth token", Proof.OLD_CREDENTIALS),
    ("revision of auth store is old", Proof.OLD_CREDENTIALS),
    ("permission denied", Proof.REFUSED),
    ("authentication failed", Proof.REFUSED),
    ("user name is empty", Proof.REFUSED),
    ("user name not found", Proof.REFUSED),
    # The request that crosses the quota is applied and answered so nonetheless (`quotaApplierV3`).
    ("database space exceeded", Proof.FULL),
    ("requested lease not found", Proof.LEASE_GONE),
    ("revision has been compacted", Proof.COMPACTED),
    # In Go's words, so of the request; gRPC core says "Received" where the answer was too large.
    ("grpc: received message larger than max", Proof.INVALID),
    ("etcdserver: no leader", Proof.NOT_APPLIED),
    ("etcdserver: not leader", Proof.NOT_APPLIED),
    ("etcdserver: too many requests", Proof.NOT_APPLIED),
    ("etcdserver: rpc not supported for learner", Proof.NOT_APPLIED),
)
_STATUSES = {
    grpc.StatusCode.PERMISSION_DENIED: Proof.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: Proof.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Proof.INVALID,
    grpc.StatusCode.UNIMPLEMENTED: Proof.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: Proof.INVALID,
}
# gRPC's own words where no connection was ever made for the call.
_NEVER_SENT = "failed to connect to all addresses"
_TLS = re.compile(r"ssl|tls|certificate|handshake", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """proof: what is certain. text: etcd's or gRPC's words, for the message; they hold no key's value."""

    proof: Proof
    text: str


def proof_of_text(text: str) -> Proof | None:
    """The proof that etcd's words give by themselves, also in the reason of a cancelled watch."""
    return next((proof for words, proof in _TEXTS if words in text), None)


def failure_of(failed: grpc.RpcError) -> Failure:
    """Read a failed call."""
    status, text = failed.code(), str(failed.details() or "")
    said = f"{text or 'no detail'} ({status.name})"
    proof = proof_of_text(text) or _STATUSES.get(status)
    if proof is None and status is grpc.StatusCode.UNAVAILABLE and _NEVER_SENT in text:
        # A member that does not trust us, or that we do not trust, will not change its mind by waiting.
        proof = Proof.REFUSED if _TLS.search(text) else Proof.NOT_APPLIED
    return Failure(proof or Proof.UNKNOWN, said)


def error_of(failure: Failure, what: str, *, write: bool) -> DativeError:
    """The error to raise. what: the call, for a person. write: whether something may have changed by it."""
    message = f"{what}: {failure.text}"
    match failure.proof:
        case Proof.REFUSED | Proof.OLD_CREDENTIALS:
            return DativeError(message, code=COORDINATION_REFUSED)
        case Proof.FULL:
            # Still an Ambiguous for a write: who reads back before acting finds out which it was.
            return (Ambiguous if write else DativeError)(message, code=COORDINATION_FULL)
        case Proof.LEASE_GONE:
            return LeaseGone(message)
        case Proof.COMPACTED:
            return Compacted(message)
        case Proof.INVALID:
            return DativeError(message, code=COORDINATION_INVALID)
        case Proof.UNKNOWN if write:
            return Ambiguous(message)
        case _:
            return Unavailable(message)
