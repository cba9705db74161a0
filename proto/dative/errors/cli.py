"""Codes of the `dative` command: what it refuses before anything is sent, and what it finds on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError

NO_CONTEXT = Code(
    "cli.no_context",
    "UNAUTHENTICATED",
    "This command does not know any controller yet.",
    "Log in to one: dative login --server HOST:7443 --ca ca.pem",
)
UNKNOWN_CONTEXT = Code(
    "cli.unknown_context",
    "NOT_FOUND",
    "There is no context of that name on this machine.",
    "Look which there are: dative context list",
)
LOGIN_NEEDED = Code(
    "cli.login_needed",
    "UNAUTHENTICATED",
    "No session is stored for this context, or it has ended.",
    "Log in: dative login",
)
SETTINGS_BROKEN = Code(
    "cli.settings_broken",
    "INVALID_ARGUMENT",
    "The file with this command's contexts can not be read.",
    "Correct the file that the message names, or move it away and log in again.",
)
CA_UNKNOWN = Code(
    "cli.ca_unknown",
    "INVALID_ARGUMENT",
    "The controller's certificate authority is not known, so that its identity could not be verified.",
    "Give --ca FILE (ca.pem of the controller's data directory) or --ca-pin sha256:… (shown by dative atom invite).",
)
CA_PIN_MISMATCH = Code(
    "cli.ca_pin_mismatch",
    "PERMISSION_DENIED",
    "The server did not show a certificate authority with the pinned key: it is another one, or something intercepts TLS.",
    "Compare the pin with the controller's own; ask the network team for a bypass if a proxy inspects TLS.",
)
NOT_CONFIRMED = Code(
    "cli.not_confirmed",
    "FAILED_PRECONDITION",
    "A change of a production environment must be confirmed; nothing was changed.",
    "Type the environment's name when asked, or give --yes together with --env NAME.",
)
SECRET_IN_ARGV = Code(
    "cli.secret_in_arguments",
    "INVALID_ARGUMENT",
    "A secret on the command line is seen by every process of this machine and kept in the shell's history.",
    "Give the name only; the value is read from stdin, --from-file or a prompt. Change the secret if it was a real one.",
)
NO_INPUT = Code(
    "cli.no_input",
    "INVALID_ARGUMENT",
    "A value was expected on stdin or in a file and there was none, or it was too long.",
    "Pipe it in, or give a file.",
)
NO_KEY = Code(
    "cli.no_key",
    "FAILED_PRECONDITION",
    "The key that this needs is not on this machine.",
    "Do it where the keys are, or make keys: dative trust init (the first time), dative trust rotate-release.",
)
NO_TRUST = Code(
    "cli.no_trust",
    "FAILED_PRECONDITION",
    "The organization has no trust document yet, so that no atom could verify anything.",
    "Make the keys and the document: dative trust init",
)
TRUST_EXISTS = Code(
    "cli.trust_exists",
    "ALREADY_EXISTS",
    "The organization has a trust document already; a second first one would be refused by every atom.",
    "Look at it: dative trust show. New release key: dative trust rotate-release",
)
TRUST_CHANGED = Code(
    "cli.trust_changed",
    "PERMISSION_DENIED",
    "The controller's trust document does not follow from the one that this machine has accepted.",
    "Compare its digest with a root key holder by another way, then: dative trust show --accept DIGEST",
)
FINDINGS = Code(
    "cli.process_invalid",
    "INVALID_ARGUMENT",
    "A process does not pass validation; nothing was packed.",
    "Correct what is listed, then: dative process validate PATH",
)
PROCESS_NOT_FOUND = Code(
    "cli.process_not_found",
    "NOT_FOUND",
    "No process file of that name or path is here.",
    "Give the path of the file, or run where the processes are.",
)
NOT_DEPLOYED = Code(
    "cli.not_deployed",
    "NOT_FOUND",
    "Nothing by that name is deployed there.",
    "Look what is: dative deployment list --env ENV",
)
NOTHING_BEFORE = Code(
    "cli.nothing_before",
    "NOT_FOUND",
    "There is no earlier content to go back to.",
    "Look at the generations there are: dative deployment list --env ENV",
)
MISSING_BINDING = Code(
    "cli.environment_incomplete",
    "FAILED_PRECONDITION",
    "The environment lacks something that the process needs; it would fail at its first execution.",
    "Set what is listed: dative env set, dative env secret set",
)
ENGINE_MISSING = Code(
    "cli.engine_missing",
    "FAILED_PRECONDITION",
    "Process tests run in the atom's engine, and dative-atom is not installed beside this command.",
    "Install it: pip install 'dative[atom]'",
)
TESTS_FAILED = Code(
    "cli.tests_failed",
    "INVALID_ARGUMENT",
    "The process tests did not all pass, or could not be run.",
    "Look at the failed cases; correct the process or the expectation.",
)
FINGERPRINT = Code(
    "cli.fingerprint_differs",
    "FAILED_PRECONDITION",
    "The fingerprint that was given is not the one of this atom's sealing key.",
    "Read it on the atom's host: dative-atom status. If it differs, revoke the atom: someone may be in between.",
)
NOT_A_PAYLOAD = Code(
    "cli.payload_unreadable",
    "DATA_LOSS",
    "The payload that came back is not a sealed JSON object.",
    "Bring atom and command to versions at most two releases apart.",
)
UNKNOWN_CODE = Code(
    "cli.unknown_code",
    "NOT_FOUND",
    "No error code of that name is in this version's catalog.",
    "Check the spelling: dative explain lists them all.",
)
CHECKS_FAILED = Code(
    "cli.checks_failed",
    "FAILED_PRECONDITION",
    "At least one check did not pass.",
    "Follow the line under the failed check.",
)


@dataclass(eq=False)
class CliError(DativeError):
    """The command refused, or something that it needs on this machine is not there. Always raised with a code."""

    default_code: ClassVar[Code] = NO_CONTEXT
