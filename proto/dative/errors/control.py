"""Codes of the controller's work: access, environments, the fleet, enrolment, deployments, commands."""

from __future__ import annotations

from dative.errors.base import Code

TOKEN_INVALID = Code(
    "access.token_invalid",
    "UNAUTHENTICATED",
    "The login token is unknown, expired or was used before.",
    "Log in with a fresh one; the first admin uses the bootstrap-token file in the controller's data directory.",
)
BOOTSTRAP_REMOTE = Code(
    "access.bootstrap_remote",
    "PERMISSION_DENIED",
    "The bootstrap token is accepted from the controller's own host only.",
    "Log in on that host first.",
)
REFRESH_REUSED = Code(
    "access.refresh_reused",
    "UNAUTHENTICATED",
    "A refresh token was shown a second time; every session that came from it is closed, because one may be stolen.",
    "Log in again: dative login",
)

NOT_FOUND = Code(
    "control.not_found", "NOT_FOUND", "Nothing by that name or id.", "List what there is and use its name."
)
AMBIGUOUS = Code(
    "control.ambiguous",
    "INVALID_ARGUMENT",
    "The given prefix fits more than one thing.",
    "Use more characters or the whole id; the message lists the candidates.",
)
NAME_TAKEN = Code("control.name_taken", "ALREADY_EXISTS", "That name is in use.", "Choose another name.")
BAD_NAME = Code(
    "control.bad_name",
    "INVALID_ARGUMENT",
    "Names are lower-case letters, digits and dashes, starting with a letter or digit, at most 63 characters.",
    "Choose a name of that form.",
)
VERSION_CONFLICT = Code(
    "control.version_conflict",
    "ABORTED",
    "Someone changed this since you looked at it; nothing was changed.",
    "Look again, then repeat the change.",
)
LOOKS_SECRET = Code(
    "environment.looks_secret",
    "INVALID_ARGUMENT",
    "A connection's setting looks like a secret; settings are stored and shown in the clear.",
    "Set it with: dative env secret set NAME, and refer to it as sealed:NAME, env:NAME or file:/path.",
)

JOIN_TOKEN_INVALID = Code(
    "enrol.token_invalid",
    "UNAUTHENTICATED",
    "The join token is malformed, unknown or of another controller.",
    "Make a new one: dative atom invite",
)
JOIN_TOKEN_USED = Code(
    "enrol.token_used",
    "UNAUTHENTICATED",
    "The join token has been used as often as it may.",
    "Make a new one: dative atom invite",
)
JOIN_TOKEN_EXPIRED = Code(
    "enrol.token_expired", "UNAUTHENTICATED", "The join token has expired.", "Make a new one: dative atom invite"
)
NO_TRUST = Code(
    "enrol.no_trust",
    "FAILED_PRECONDITION",
    "The organization has no trust document yet, so that an atom could verify nothing.",
    "Log in with the CLI that holds the root key first; it uploads the trust document.",
)

ATOM_REVOKED = Code(
    "fleet.atom_revoked",
    "PERMISSION_DENIED",
    "The atom was revoked.",
    "If that was a mistake, enrol it again with a new invitation.",
)
ATOM_PENDING = Code(
    "fleet.atom_pending",
    "FAILED_PRECONDITION",
    "The atom waits for an admin's approval.",
    "Compare its fingerprint on its host, then: dative atom approve NAME",
)
ATOM_OFFLINE = Code(
    "fleet.atom_offline",
    "UNAVAILABLE",
    "No atom that could do this is connected now.",
    "Start the atom or wait until it is back: dative atom list",
)
FINGERPRINT = Code(
    "fleet.fingerprint_mismatch",
    "FAILED_PRECONDITION",
    "The fingerprint shown by the person is not the one that this atom enrolled with.",
    "Read it on the atom's host: dative-atom status. If it differs, revoke the atom: someone may be in between.",
)
CERTIFICATE_OLD = Code(
    "links.certificate_expired",
    "UNAUTHENTICATED",
    "The certificate of this stream has expired or was replaced by a newer one.",
    "The atom reconnects with its new certificate by itself; enrol it again if it was offline too long.",
)
FENCED = Code(
    "links.fenced",
    "ABORTED",
    "A newer stream of the same atom has taken over.",
    "If two hosts run with the same identity, enrol one of them again under its own name.",
)
SILENT = Code(
    "links.silent",
    "DEADLINE_EXCEEDED",
    "The atom's stream was silent for three heartbeats.",
    "The atom reconnects by itself; check the network between if it repeats.",
)
PROTOCOL = Code(
    "links.protocol",
    "FAILED_PRECONDITION",
    "The peer broke the protocol, or both sides have no protocol version in common.",
    "Bring both sides to versions at most two releases apart.",
)
COMMAND_UNANSWERED = Code(
    "links.command_unanswered",
    "DEADLINE_EXCEEDED",
    "The atom did not answer the command in time; whether it was carried out is not known.",
    "Look at the execution list before you repeat it.",
)

GENERATION = Code(
    "deployment.generation_conflict",
    "ABORTED",
    "The manifest's generation does not follow the one that is deployed.",
    "Plan again from what is deployed now: dative plan",
)
CHECK_INDEX = Code(
    "deployment.plan_is_old",
    "ABORTED",
    "Deployment, environment or secrets changed since the plan was made; nothing was deployed.",
    "Look at the difference and deploy again: dative diff",
)
SPOOL_GAP = Code(
    "reporting.sequence_invalid",
    "INVALID_ARGUMENT",
    "An atom's records do not start where its spool's sequence stands.",
    "The atom resumes from the answered position by itself.",
)
TRUST_VERSION = Code(
    "control.trust_conflict",
    "ABORTED",
    "The trust document does not follow the newest one that the controller holds.",
    "Fetch the newest, change that, sign and upload again.",
)
