"""The trust document as this machine has accepted it: the controller is asked for a newer one, never believed.

The first one is taken as it comes and told with its digest, as SSH does with a host's key; from then on a document must
follow from the one before, proven by its root keys.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from dative.bundle.blobs import write_whole
from dative.bundle.keys import PublicKey, SigningKey
from dative.bundle.trust import TrustDocument, new_trust, read_trust, sign_trust, successor, walk
from dative.errors import DativeError
from dative.errors.cli import NO_KEY, NO_TRUST, TRUST_CHANGED, TRUST_EXISTS, CliError
from dative.v1 import control_pb2

from dative_controller.cli.app import App

LIFETIME_DAYS = 365


def fetch(app: App) -> control_pb2.GetTrustResponse:
    """What the controller has, unverified."""
    return app.client.read("TrustService/GetTrust", control_pb2.GetTrustRequest(), control_pb2.GetTrustResponse)


def accepted(app: App) -> TrustDocument:
    """The newest trust document, proven. Errors: cli.no_trust, cli.trust_changed."""
    envelope = fetch(app).trust_envelope
    if not envelope:
        raise CliError(f"controller {app.context.server} has no trust document", code=NO_TRUST)
    file = _file(app)
    if not file.exists():
        document = read_trust(envelope)
        _check_organization(app, document)
        app.say(f"trusting this organization's keys from now on: version {document.version}, digest {document.digest}")
        _store(file, envelope)
        return document
    known = read_trust(file.read_bytes())
    if read_trust(envelope).digest == known.digest:
        return known
    try:
        document = walk(known, [envelope], app.clock.now())
    except DativeError as broken:
        raise CliError(f"version {known.version} is accepted here: {broken.message}", code=TRUST_CHANGED) from broken
    _store(file, envelope)
    return document


def accept(app: App, digest: str) -> TrustDocument:
    """Take the controller's document because a person compared its digest. Errors: cli.trust_changed, cli.no_trust."""
    envelope = fetch(app).trust_envelope
    if not envelope:
        raise CliError(f"controller {app.context.server} has no trust document", code=NO_TRUST)
    document = read_trust(envelope)
    if document.digest != digest.strip().lower():
        raise CliError(f"the controller's document has digest {document.digest}", code=TRUST_CHANGED)
    _store(_file(app), envelope)
    return document


def init(app: App) -> TrustDocument:
    """Make root, release and recovery keys where they are missing, and the first trust document; upload it.

    Errors: cli.trust_exists.
    """
    answer = fetch(app)
    if answer.trust_envelope:
        raise CliError("there is a trust document", code=TRUST_EXISTS)
    root, release = (_made_or_found(app, role) for role in ("root", "release"))
    if app.keys.ring.get("recovery.key") is None:
        app.keys.make_recovery_key()
    document = new_trust(
        organization_id=app.context.organization_id,
        root=[root.public],
        release=[release.public],
        online=[PublicKey(answer.online_public_key)],
        expires_at=_expiry(app),
    )
    _put(app, document, root)
    return document


def rotate_release(app: App, current: TrustDocument, *, stolen: bool) -> TrustDocument:
    """A fresh release key in place of this machine's; the old one counts no more. stolen: raises the release epoch.

    Errors: cli.no_key when the root key is not here.
    """
    root = signing_key(app, "root")
    fresh = SigningKey.generate()
    mine = app.keys.ring.get("release.pem")
    old = SigningKey.from_pem(mine).keyid if mine else ""
    others = [key for keyid, key in current.role_keys("release").items() if keyid != old]
    document = successor(current, expires_at=_expiry(app), release=[fresh.public, *others], raise_epoch=stolen)
    # Stored beside first: were the upload's answer lost, the new key must not be lost with it.
    app.keys.ring.put("release-next.pem", fresh.to_pem())
    _put(app, document, root)
    app.keys.ring.put("release.pem", fresh.to_pem())
    app.keys.ring.delete("release-next.pem")
    return document


def signing_key(app: App, role: str) -> SigningKey:
    """This machine's key of that role. Errors: cli.no_key."""
    pem = app.keys.ring.get(f"{role}.pem")
    if pem is None:
        raise CliError(f"context {app.context.name} has no {role} key on this machine", code=NO_KEY)
    return SigningKey.from_pem(pem)


def release_key(app: App, trust: TrustDocument) -> SigningKey:
    """The release key, when the trust document names it. Errors: cli.no_key."""
    key = signing_key(app, "release")
    if key.keyid in trust.role("release").keyids:
        return key
    pending = app.keys.ring.get("release-next.pem")
    if pending is not None and SigningKey.from_pem(pending).keyid in trust.role("release").keyids:
        app.keys.ring.put("release.pem", pending)
        app.keys.ring.delete("release-next.pem")
        return SigningKey.from_pem(pending)
    raise CliError(f"release key {key.keyid[:12]} is not in trust document {trust.version}", code=NO_KEY)


def _made_or_found(app: App, role: str) -> SigningKey:
    # Found after an interrupted first try; a key that nobody trusts yet is as good as a new one.
    pem = app.keys.ring.get(f"{role}.pem")
    if pem is not None:
        return SigningKey.from_pem(pem)
    return app.keys.make_signing_key("root" if role == "root" else "release")


def _put(app: App, document: TrustDocument, root: SigningKey) -> None:
    envelope = sign_trust(document, [root]).to_bytes()
    request = control_pb2.PutTrustRequest(request_id=app.request_id(), trust_envelope=envelope)
    app.client.write("TrustService/PutTrust", request, control_pb2.PutTrustResponse)
    _store(_file(app), envelope)


def _check_organization(app: App, document: TrustDocument) -> None:
    if app.context.organization_id and document.organization_id != app.context.organization_id:
        raise CliError(
            f"the document is of organization {document.organization_id}, this context of {app.context.organization_id}",
            code=TRUST_CHANGED,
        )


def _expiry(app: App) -> datetime:
    return (app.clock.now() + timedelta(days=LIFETIME_DAYS)).replace(microsecond=0)


def _file(app: App) -> Path:
    return app.home / "trust" / f"{app.context.name}.json"


def _store(file: Path, envelope: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(file, envelope)
