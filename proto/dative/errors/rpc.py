"""Codes of what both sides of gRPC meet: calls that do not arrive, callers that are not known, limits."""

from __future__ import annotations

from dative.errors.base import Code

UNREACHABLE = Code(
    "rpc.unreachable",
    "UNAVAILABLE",
    "The other side could not be reached, or closed the connection before it answered.",
    "Check that the controller runs and that address, port and CA pin are right: dative doctor",
)
DEADLINE = Code(
    "rpc.deadline",
    "DEADLINE_EXCEEDED",
    "The other side did not answer in time; whether it did the work is not known.",
    "Try again: a write with the same request id is done once at most.",
)
CANCELLED = Code(
    "rpc.cancelled", "CANCELLED", "The call was given up before it was answered.", "Call again when wanted."
)
UNAUTHENTICATED = Code(
    "rpc.unauthenticated",
    "UNAUTHENTICATED",
    "The call carries no valid access token, or the token has expired.",
    "Log in again: dative login",
)
DENIED = Code(
    "rpc.permission_denied",
    "PERMISSION_DENIED",
    "The caller is known but holds no role that allows this here.",
    "Ask an admin for the role that the message names.",
)
NO_CERTIFICATE = Code(
    "rpc.no_certificate",
    "UNAUTHENTICATED",
    "The atom's client certificate is missing or names no atom of this organization.",
    "Enrol the atom again: dative-atom join TOKEN",
)
RATE_LIMITED = Code(
    "rpc.rate_limited",
    "RESOURCE_EXHAUSTED",
    "Too many calls of this kind from this address or account.",
    "Wait as long as the message says, then try again.",
)
INVALID = Code(
    "rpc.invalid_argument",
    "INVALID_ARGUMENT",
    "A field of the request is missing, too long or malformed.",
    "Correct the field that the message names.",
)
REQUEST_ID_REUSED = Code(
    "rpc.request_id_reused",
    "ALREADY_EXISTS",
    "This request id was used before for another request.",
    "Use a fresh request id for each new change; repeat one only with the very same request.",
)
UNIMPLEMENTED = Code(
    "rpc.unknown_method",
    "INVALID_ARGUMENT",
    "The other side does not know this call: it is older or newer than this program.",
    "Bring both sides to versions at most two releases apart.",
)
