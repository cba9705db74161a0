"""Codes of the bundle: what a manifest, its blobs or a freshness statement is refused for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError

TOO_LARGE = Code(
    "bundle.too_large",
    "RESOURCE_EXHAUSTED",
    "A signed document or blob is longer than its limit; it was not read further.",
    "Deploy fewer or smaller processes and tables; the message names the limit.",
)
MALFORMED = Code(
    "bundle.malformed",
    "INVALID_ARGUMENT",
    "A signed document is not what its type promises: no strict JSON, a field unknown or missing, a value too big.",
    "Make it again with `dative deploy`; if a current version did make it, report this.",
)
WRONG_TYPE = Code(
    "bundle.wrong_type",
    "INVALID_ARGUMENT",
    "A document of one kind was served in place of another.",
    "Look at what stands between this atom and its controller; deploy again.",
)
BAD_SIGNATURE = Code(
    "bundle.bad_signature",
    "PERMISSION_DENIED",
    "No signature fits a key that the trust document names: the bytes were changed, or the key is unknown or revoked.",
    "Deploy again with a release key of the current trust document: `dative trust show`.",
)
BELOW_THRESHOLD = Code(
    "bundle.below_threshold",
    "PERMISSION_DENIED",
    "Fewer different keys signed than the trust document asks for.",
    "Have the missing people sign, then deploy again.",
)
WRONG_ROLE = Code(
    "bundle.wrong_role",
    "PERMISSION_DENIED",
    "The signing key is known, but may not sign this kind of document.",
    "Sign with a key of the role that the message names: `dative trust show`.",
)
WRONG_ORGANIZATION = Code(
    "bundle.wrong_organization",
    "PERMISSION_DENIED",
    "The document belongs to another organization.",
    "Check the context of the deployment: `dative context show`.",
)
WRONG_ENVIRONMENT = Code(
    "bundle.wrong_environment",
    "PERMISSION_DENIED",
    "The document belongs to another environment.",
    "Deploy to the environment of this atom: `dative atom show`.",
)
WRONG_MOLECULE = Code(
    "bundle.wrong_molecule",
    "PERMISSION_DENIED",
    "The document belongs to another molecule.",
    "Deploy to the molecule of this atom: `dative atom show`.",
)
WRONG_ATOM = Code(
    "bundle.wrong_atom",
    "PERMISSION_DENIED",
    "The manifest names the atoms it is for, and this atom is not among them.",
    "Deploy to this atom too, or to its whole molecule.",
)
ROLLBACK = Code(
    "bundle.rollback",
    "FAILED_PRECONDITION",
    "The manifest, or a process in it, is older than what this atom has accepted.",
    "To go back, sign the old content as a new generation: `dative rollback`.",
)
EQUIVOCATION = Code(
    "bundle.equivocation",
    "DATA_LOSS",
    "Two different manifests carry the same generation; one of them is not what its deployer saw.",
    "Compare `dative deployment list` with the deployers' own records, then deploy a new generation.",
)
EXPIRED = Code(
    "bundle.expired",
    "FAILED_PRECONDITION",
    "The manifest may no longer be newly accepted; what runs already keeps running.",
    "Deploy again, and check the clock of this atom: `dative-atom doctor`.",
)
NOT_YET_VALID = Code(
    "bundle.not_yet_valid",
    "FAILED_PRECONDITION",
    "The document was issued in the future, seen from here.",
    "Check the clocks of this atom and of the machine that deployed: `dative-atom doctor`.",
)
ENGINE_TOO_OLD = Code(
    "bundle.engine_too_old",
    "FAILED_PRECONDITION",
    "The manifest needs a newer atom than this one.",
    "Upgrade this atom, or deploy processes that its version knows.",
)
TRUST_TOO_OLD = Code(
    "bundle.trust_too_old",
    "FAILED_PRECONDITION",
    "The manifest was signed under a newer trust document than this atom has.",
    "Wait for the controller to send the newer one; if it stays, check `dative trust show`.",
)
BLOB_MISMATCH = Code(
    "bundle.blob_mismatch",
    "DATA_LOSS",
    "The bytes of a blob are not those that the manifest names.",
    "Fetched again on its own; if it stays, deploy again and check this machine's disk.",
)
BLOB_MISSING = Code(
    "bundle.blob_missing",
    "NOT_FOUND",
    "A blob that the manifest names is not here.",
    "Fetched again on its own; if it stays, deploy again.",
)
BAD_NAME = Code(
    "bundle.bad_name",
    "INVALID_ARGUMENT",
    "A name holds characters that could mean something to a file system.",
    "Use lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
)
FRESHNESS_STALE = Code(
    "freshness.stale",
    "FAILED_PRECONDITION",
    "Nobody has said lately that what runs here is current; it runs on. Somebody may be withholding updates.",
    "Check the link to the controller: `dative-atom status`.",
)
FRESHNESS_WITHHELD = Code(
    "freshness.withheld",
    "FAILED_PRECONDITION",
    "The controller says that another manifest is current than the one that this atom has.",
    "Normal for moments during a deployment; if it stays: `dative atom show`.",
)
FRESHNESS_BEHIND = Code(
    "freshness.behind",
    "FAILED_PRECONDITION",
    "The controller takes an older state for current than this atom has accepted, as after a restored backup.",
    "Let the controller adopt what the atoms report, then deploy a new generation.",
)


@dataclass(eq=False)
class BundleRefused(DativeError):
    """A signed document or one of its blobs was not accepted; what ran before keeps running."""

    default_code: ClassVar[Code] = MALFORMED
