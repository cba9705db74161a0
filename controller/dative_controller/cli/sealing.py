"""Secrets of an environment, sealed on this machine: to whom is a list that the release key signs.

An environment that asks for approval is sealed to approved atoms only, and only `atom approve` puts one on the list,
after a person compared its fingerprint. Elsewhere new atoms are taken on with a line that says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope
from dative.bundle.manifest import read_document
from dative.bundle.trust import TrustDocument
from dative.errors.bundle import BundleRefused
from dative.errors.cli import NO_KEY, CliError
from dative.secrets import (
    Recipient,
    Recipients,
    SealedSet,
    SealKey,
    exposed,
    seal_values,
    sign_recipients,
    verify_recipients,
)
from dative.secrets.sealed_set import RECOVERY_ID, RecipientList
from dative.v1 import control_pb2

from dative_controller.cli import trusted
from dative_controller.cli.app import App
from dative_controller.cli.remembered import is_remembered, remember

APPROVED = ("online", "offline", "draining")


@dataclass(frozen=True)
class Sealed:
    """What was stored. exposed: secrets that an atom no longer on the list could open, to be changed at their source."""

    version: int
    recipients: tuple[str, ...]
    exposed: tuple[str, ...]


def stored(app: App, environment: control_pb2.Environment) -> tuple[SealedSet | None, bytes]:
    """The newest sealed set and its bytes; none yet is (None, b"")."""
    request = control_pb2.GetSealedSecretsRequest(environment=environment.environment_id)
    answer = app.client.read("EnvironmentService/GetSealedSecrets", request, control_pb2.GetSealedSecretsResponse)
    return (SealedSet.parse(answer.sealed_set), answer.sealed_set) if answer.sealed_set else (None, b"")


def approved_atoms(app: App, environment: control_pb2.Environment) -> list[control_pb2.Atom]:
    """Every atom of the environment that may run something."""
    request = control_pb2.ListAtomsRequest(environment=environment.environment_id)
    answer = app.client.read("FleetService/ListAtoms", request, control_pb2.ListAtomsResponse)
    return [atom for atom in answer.atoms if atom.state in APPROVED]


def reseal(
    app: App,
    environment: control_pb2.Environment,
    changes: Mapping[str, str | None],
    *,
    compared: Sequence[control_pb2.Atom] = (),
    gone: Collection[str] = (),
    sign_anew: bool = False,
) -> Sealed:
    """Seal anew with `changes` (name -> value, None deletes), and store.

    compared: atoms whose fingerprint a person has just compared; gone: ids of atoms that leave the list; sign_anew: the
    list too, as after the release key was replaced.
    Errors: cli.no_key; those of `dative.secrets`; control.version_conflict when somebody else sealed meanwhile.
    """
    trust = trusted.accepted(app)
    recovery = _recovery_key(app)
    previous, _ = stored(app, environment)
    former = verified_recipients(app, trust, environment, previous)
    wanted = _wanted(app, environment, former, compared, gone)
    keep = former is not None and not sign_anew and _same(former, wanted, recovery)
    recipients = former if former is not None and keep else _signed(app, trust, environment, former, wanted)
    made = seal_values(previous, recovery, changes, recipients, environment.environment_id)
    request = control_pb2.PutSealedSecretsRequest(
        request_id=app.request_id(),
        environment=environment.environment_id,
        sealed_set=made.to_bytes(),
        expected_version=previous.version if previous else 0,
    )
    app.client.write("EnvironmentService/PutSealedSecrets", request, control_pb2.PutSealedSecretsResponse)
    return Sealed(
        made.version,
        tuple(one.id for one in recipients.list.recipients),
        exposed(previous, recipients) if previous else (),
    )


def unsealed(previous: SealedSet | None, atoms: Sequence[control_pb2.Atom]) -> list[control_pb2.Atom]:
    """Approved atoms that could not open the set: it was sealed before they came. None when there is no secret."""
    if previous is None or not previous.values:
        return []
    known = {(one.id, one.public) for one in previous.recipients}
    return [atom for atom in atoms if (atom.atom_id, atom.seal_public_key.hex()) not in known]


def verified_recipients(
    app: App, trust: TrustDocument, environment: control_pb2.Environment, previous: SealedSet | None
) -> Recipients | None:
    """Whom the former set is sealed to, when the release role signed it; or when this machine saw that it had."""
    if previous is None:
        return None
    envelope, place = previous.recipients_envelope, f"recipients/{environment.environment_id}"
    try:
        found = verify_recipients(
            envelope,
            trust=trust,
            environment_id=environment.environment_id,
            version_min=previous.recipients_version,
        )
    except BundleRefused:
        if not is_remembered(app, place, digest_of(envelope)):
            raise
        payload = Envelope.parse(envelope, bytes_max=len(envelope)).payload
        return Recipients(
            read_document(RecipientList, payload, bytes_max=len(envelope), what="recipient list"), envelope
        )
    remember(app, place, digest_of(envelope))
    return found


def _wanted(
    app: App,
    environment: control_pb2.Environment,
    former: Recipients | None,
    compared: Sequence[control_pb2.Atom],
    gone: Collection[str],
) -> dict[str, str]:
    """Atom id -> public sealing key in hex. Whoever was revoked leaves at the next sealing, asked for or not."""
    approved = {atom.atom_id: atom for atom in approved_atoms(app, environment)}
    listed = {one.id: one.public for one in former.list.recipients if one.id != RECOVERY_ID} if former else {}
    wanted = {atom_id: public for atom_id, public in listed.items() if atom_id in approved and atom_id not in gone}
    wanted.update({atom.atom_id: atom.seal_public_key.hex() for atom in compared})
    if not environment.require_approval:
        for atom_id in sorted(approved.keys() - wanted.keys() - set(gone)):
            atom = approved[atom_id]
            app.say(f"sealing to atom {atom.name} from now on: {atom.seal_key_fingerprint}")
            wanted[atom_id] = atom.seal_public_key.hex()
    return wanted


def _same(former: Recipients, wanted: Mapping[str, str], recovery: SealKey) -> bool:
    listed = {one.id: one.public for one in former.list.recipients}
    return listed == {**wanted, RECOVERY_ID: recovery.public_raw.hex()}


def _signed(
    app: App,
    trust: TrustDocument,
    environment: control_pb2.Environment,
    former: Recipients | None,
    wanted: Mapping[str, str],
) -> Recipients:
    recovery = _recovery_key(app)
    everybody = {**wanted, RECOVERY_ID: recovery.public_raw.hex()}
    envelope = sign_recipients(
        [Recipient(name, public) for name, public in everybody.items()],
        [trusted.release_key(app, trust)],
        organization_id=trust.organization_id,
        environment_id=environment.environment_id,
        version=former.list.version + 1 if former else 1,
        now=app.clock.now(),
    )
    return verify_recipients(envelope, trust=trust, environment_id=environment.environment_id)


def _recovery_key(app: App) -> SealKey:
    data = app.keys.ring.get("recovery.key")
    if data is None:
        raise CliError(f"context {app.context.name} has no recovery key on this machine", code=NO_KEY)
    return SealKey.from_bytes(data)
