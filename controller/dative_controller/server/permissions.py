"""Who may call what: one entry an RPC. What is missing here is denied, and a test walks all of them."""

from __future__ import annotations

from dataclasses import dataclass

VIEWERS = frozenset({"viewer", "operator", "deployer", "admin", "auditor", "revealer"})
OPERATORS = frozenset({"operator", "admin"})
DEPLOYERS = frozenset({"deployer"})
SECRET_SETTERS = frozenset({"deployer", "admin"})
ADMINS = frozenset({"admin"})
AUDITORS = frozenset({"auditor"})
REVEALERS = frozenset({"revealer"})  # nobody else, not even an admin: it shows what masks hide
ANYONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Permission:
    """roles: any one of them, ANYONE without a token. changes: it is audited and leaves a span in the trace store."""

    roles: frozenset[str]
    changes: bool = False


_TABLE: dict[str, dict[str, Permission]] = {
    "AccessService": {
        "Login": Permission(ANYONE, changes=True),
        "WhoAmI": Permission(VIEWERS),
        "ListAudit": Permission(AUDITORS),
        "VerifyAudit": Permission(AUDITORS),
    },
    "TrustService": {
        "GetTrust": Permission(VIEWERS),
        "PutTrust": Permission(ADMINS, changes=True),
    },
    "EnvironmentService": {
        "CreateEnvironment": Permission(ADMINS, changes=True),
        "ListEnvironments": Permission(VIEWERS),
        "GetEnvironment": Permission(VIEWERS),
        "SetEnvironment": Permission(ADMINS, changes=True),
        "PutSealedSecrets": Permission(SECRET_SETTERS, changes=True),
        "GetSealedSecrets": Permission(SECRET_SETTERS),  # ciphertext: who adds a secret re-seals the set
    },
    "FleetService": {
        "CreateJoinToken": Permission(ADMINS, changes=True),
        "ListAtoms": Permission(VIEWERS),
        "GetAtom": Permission(VIEWERS),
        "ApproveAtom": Permission(ADMINS, changes=True),
        "RevokeAtom": Permission(ADMINS, changes=True),
        "DrainAtom": Permission(OPERATORS, changes=True),
        "TestConnection": Permission(OPERATORS, changes=True),
    },
    "MoleculeService": {
        "CreateMolecule": Permission(ADMINS, changes=True),
        "SetMolecule": Permission(ADMINS, changes=True),
        "RemoveMolecule": Permission(ADMINS, changes=True),
        "ListMolecules": Permission(VIEWERS),
        "GetMolecule": Permission(VIEWERS),
    },
    "DeploymentService": {
        "GetDesired": Permission(VIEWERS),
        "PutBlob": Permission(DEPLOYERS),  # content by its digest; what it is for is audited with the deployment
        "GetBlob": Permission(DEPLOYERS),
        "MissingBlobs": Permission(DEPLOYERS),
        "CreateDeployment": Permission(DEPLOYERS, changes=True),
        "WatchDeployment": Permission(VIEWERS),
        "ListDeployments": Permission(VIEWERS),
    },
    "ExecutionService": {
        "RunProcess": Permission(OPERATORS, changes=True),
        "DryRun": Permission(
            OPERATORS, changes=True
        ),  # nothing changes, but it shows values, is audited, leaves a span
        "ProfileSteps": Permission(OPERATORS, changes=True),  # nothing changes, but it is audited and leaves a span
        "CancelExecution": Permission(OPERATORS, changes=True),
        "ListExecutions": Permission(VIEWERS),
        "GetExecution": Permission(VIEWERS),
        "WatchExecution": Permission(VIEWERS),
        "FindDocuments": Permission(VIEWERS),  # among hashed keys: operators, checked where it is asked for
        "ReadReceipts": Permission(OPERATORS, changes=True),  # nothing changes, but it is audited and leaves a span
        "GetTrace": Permission(VIEWERS),
        "ExportSpans": Permission(VIEWERS),
    },
    "DeadLetterService": {
        "ListDeadLetters": Permission(VIEWERS),
        # With its payload: operators; with its classified fields: revealers. Checked where it is asked for.
        "GetDeadLetter": Permission(VIEWERS),
        "RepairDeadLetter": Permission(OPERATORS, changes=True),
        "RetryDeadLetters": Permission(OPERATORS, changes=True),
        "DiscardDeadLetters": Permission(OPERATORS, changes=True),
        "AssignDeadLetters": Permission(OPERATORS, changes=True),
        "ExpireDeadLetters": Permission(OPERATORS, changes=True),
    },
    "VaultService": {"RevealToken": Permission(REVEALERS, changes=True)},
    "XrefService": {
        "ReadXref": Permission(OPERATORS, changes=True),  # nothing changes, but it is audited and leaves a span
        "ChangeXref": Permission(OPERATORS, changes=True),
    },
    # Their own proof: a join token, or the certificate of a mutual-TLS connection.
    "EnrollmentService": {"EnrollAtom": Permission(ANYONE, changes=True)},
    "AtomService": {
        "Connect": Permission(ANYONE),
        "FetchBlob": Permission(ANYONE),
        "RenewCertificate": Permission(ANYONE),
    },
    "TelemetryService": {"IngestRecords": Permission(ANYONE)},
}
PERMISSIONS: dict[str, Permission] = {
    f"/dative.v1.{service}/{method}": permission
    for service, methods in _TABLE.items()
    for method, permission in methods.items()
}
