"""Tokens, the online key, and the command line's key store."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dative.bundle.accepted import Accepted, Identity
from dative.bundle.blobs import digest_of
from dative.bundle.join_token import JoinToken
from dative.bundle.keys import SigningKey
from dative.bundle.trust import new_trust, sign_trust
from dative.bundle.verify import verify_freshness
from dative.errors.base import DativeError
from dative.errors.signing import SigningError
from dative_controller.signing.keyring import ContextKeys, FileKeyring, SystemKeyring, open_keyring
from dative_controller.signing.online import OnlineKey
from dative_controller.signing.tokens import (
    AccessTokens,
    make_bootstrap_token,
    make_refresh_token,
    matches,
    token_hash,
)

NOW = datetime(2026, 7, 1, tzinfo=UTC)
DIGEST = "ab" * 32


# Access tokens


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def tokens(key: Any) -> AccessTokens:
    return AccessTokens(key, "acme")


def test_an_access_token_says_who_calls_for_a_quarter_of_an_hour(tokens: AccessTokens) -> None:
    token = tokens.issue("ada", NOW)
    claims = tokens.verify(token, NOW + timedelta(minutes=15))
    assert claims.subject == "ada"
    assert claims.expires_at == NOW + timedelta(minutes=15)
    assert claims.token_id != tokens.verify(tokens.issue("ada", NOW), NOW).token_id
    with pytest.raises(SigningError) as refused:
        tokens.verify(token, NOW + timedelta(minutes=15, seconds=30))
    assert refused.value.code.name == "signing.token_expired"


def test_an_access_token_carries_no_role(tokens: AccessTokens) -> None:
    body = json.loads(base64.urlsafe_b64decode(tokens.issue("ada", NOW).split(".")[1] + "=="))
    assert sorted(body) == ["aud", "exp", "iat", "iss", "jti", "sub"]


CLAIMS = {"iss": "dative", "aud": "acme", "sub": "ada", "jti": "1", "iat": 1, "exp": 2**33}


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in CLAIMS.items() if name != claim}


def confused(key: Any) -> str:
    """HS256 with the public key as its secret: what a verifier falls for that lets the header choose."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT"}, CLAIMS)
    ]
    signature = hmac.digest(public, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


FORGED = {
    "another key": lambda key: AccessTokens(ec.generate_private_key(ec.SECP256R1()), "acme").issue("ada", NOW),
    "another organization": lambda key: AccessTokens(key, "evil").issue("ada", NOW),
    "no algorithm": lambda key: jwt.encode(CLAIMS, None, algorithm="none"),
    "the algorithm of its choice": confused,
    "another issuer": lambda key: jwt.encode(CLAIMS | {"iss": "x"}, key, algorithm="ES256"),
    "no expiry": lambda key: jwt.encode(without("exp"), key, algorithm="ES256"),
    "no audience": lambda key: jwt.encode(without("aud"), key, algorithm="ES256"),
    "no id": lambda key: jwt.encode(without("jti"), key, algorithm="ES256"),
    "no subject": lambda key: jwt.encode(without("sub"), key, algorithm="ES256"),
    "expiry out of all bounds": lambda key: jwt.encode(CLAIMS | {"exp": 10**30}, key, algorithm="ES256"),
    "expiry as text": lambda key: jwt.encode(CLAIMS | {"exp": "soon"}, key, algorithm="ES256"),
    "a changed claim": lambda key: change_subject(AccessTokens(key, "acme").issue("ada", NOW)),
    "nothing": lambda key: "",
    "too long": lambda key: "a." * 5000,
}


def change_subject(token: str) -> str:
    header, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "root"}
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return ".".join((header, changed, signature))


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_access_token_is_refused_and_not_quoted(tokens: AccessTokens, key: Any, forge: Any) -> None:
    forged = forge(key)
    with pytest.raises(SigningError) as refused:
        tokens.verify(forged, NOW)
    assert refused.value.code.name == "signing.token_invalid"
    if forged:
        assert forged not in str(refused.value)


def test_the_token_key_is_made_once_and_tokens_outlive_a_restart(tmp_path: Path) -> None:
    token = AccessTokens.load_or_create(tmp_path / "token.key", "acme").issue("ada", NOW)
    assert AccessTokens.load_or_create(tmp_path / "token.key", "acme").verify(token, NOW).subject == "ada"
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token.key").write_bytes(SigningKey.generate().to_pem())
    with pytest.raises(SigningError) as refused:
        AccessTokens.load_or_create(tmp_path / "token.key", "acme")
    assert refused.value.code.name == "signing.key_unreadable"


# Random tokens


@pytest.mark.parametrize("make", [make_bootstrap_token, make_refresh_token])
def test_a_random_token_is_known_by_its_hash_only(make: Any) -> None:
    one, other = make(), make()
    assert one != other
    assert len(base64.urlsafe_b64decode(one.split(".")[1] + "=")) == 32
    assert matches(one, token_hash(one))
    assert not matches(other, token_hash(one))
    assert one.split(".")[1] not in token_hash(one)


def test_a_join_token_is_read_as_it_was_shown_and_hides_its_secret() -> None:
    token = JoinToken.make("01JABC", DIGEST)
    assert JoinToken.parse(f"  {token.reveal()}\n") == token
    assert token.trust_digest == DIGEST
    assert token.secret not in repr(token)
    assert token.secret != JoinToken.make("01JABC", DIGEST).secret


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.replace("at1.", "at2."),
        lambda text: text.replace("01JABC", "../etc"),
        lambda text: text.replace("01JABC", ""),
        lambda text: text.upper(),
        lambda text: text.replace(".", " "),
        lambda text: "",
    ],
)
def test_another_text_than_a_join_token_is_refused_and_not_quoted(change: Any) -> None:
    token = JoinToken.make("01JABC", DIGEST)
    with pytest.raises(SigningError) as refused:
        JoinToken.parse(change(token.reveal()))
    assert refused.value.code.name == "signing.join_token_malformed"
    assert token.secret not in str(refused.value)


# The online key


def test_an_atom_believes_the_online_keys_statement_and_not_another_keys(tmp_path: Path) -> None:
    online = OnlineKey.load_or_create(tmp_path / "online.key")
    assert OnlineKey.load_or_create(tmp_path / "online.key").public == online.public
    assert (tmp_path / "online.key").stat().st_mode & 0o777 == 0o600
    root, release = SigningKey.generate(), SigningKey.generate()
    trust = new_trust(
        organization_id="acme",
        root=[root.public],
        release=[release.public],
        online=[online.public],
        expires_at=NOW + timedelta(days=365),
    )
    atom = {
        "trust": trust,
        "identity": Identity("acme", "prod", "default", "atom1", "1.0.0"),
        "accepted": Accepted(trust_envelope=sign_trust(trust, [root]).to_bytes(), trust_version=1),
        "now": NOW,
    }
    said = {
        "organization_id": "acme",
        "environment_id": "prod",
        "molecule_id": "default",
        "release_epoch": 1,
        "generation": 4,
        "manifest_digest": digest_of(b"manifest"),
        "audit_head": DIGEST,
        "revocation_version": 2,
        "now": NOW,
    }
    statement = verify_freshness(online.freshness(**said), **atom)  # type: ignore[arg-type]
    assert (statement.generation, statement.audit_head) == (4, DIGEST)
    assert statement.expires_at == NOW + timedelta(hours=24)
    with pytest.raises(DativeError) as refused:
        verify_freshness(OnlineKey(SigningKey.generate()).freshness(**said), **atom)  # type: ignore[arg-type]
    assert refused.value.code.name == "bundle.bad_signature"


# The key store of the command line


class Backend:
    """A keyring of an operating system, as small as `keyring` needs it."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.entries.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.entries[(service, name)] = value

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[(service, name)]


@pytest.fixture(params=["file", "system"])
def ring(request: Any, tmp_path: Path) -> Any:
    return FileKeyring(tmp_path / "context") if request.param == "file" else SystemKeyring(Backend(), "default")


def test_a_key_store_keeps_bytes_until_they_are_deleted(ring: Any) -> None:
    assert ring.get("tokens") is None
    ring.put("tokens", b"\0\xff first")
    ring.put("tokens", b"second")
    assert ring.get("tokens") == b"second"
    assert ring.get("other") is None
    ring.delete("tokens")
    ring.delete("tokens")
    assert ring.get("tokens") is None


@pytest.mark.parametrize("name", ["../root.pem", "/etc/passwd", "", "A", "a/b", ".hidden"])
def test_only_a_plain_name_names_a_key(ring: Any, name: str) -> None:
    with pytest.raises(SigningError):
        ring.put(name, b"x")


def test_the_keys_of_a_context_are_made_once_and_found_again(ring: Any) -> None:
    keys = ContextKeys(ring)
    for role in ("root", "release"):
        with pytest.raises(SigningError) as refused:
            keys.signing_key(role)  # type: ignore[arg-type]
        assert refused.value.code.name == "signing.key_missing"
        made = keys.make_signing_key(role)  # type: ignore[arg-type]
        assert keys.signing_key(role).keyid == made.keyid  # type: ignore[arg-type]
        with pytest.raises(SigningError) as refused:
            keys.make_signing_key(role)  # type: ignore[arg-type]
        assert refused.value.code.name == "signing.key_exists"
    assert keys.make_recovery_key().fingerprint == keys.recovery_key().fingerprint
    with pytest.raises(SigningError):
        keys.make_recovery_key()


def test_a_key_file_is_for_its_owner_only_and_refused_when_others_can_read_it(tmp_path: Path) -> None:
    ring = FileKeyring(tmp_path / "new" / "context")
    ring.put("root.pem", b"x")
    path = tmp_path / "new" / "context" / "root.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(SigningError) as refused:
        ring.get("root.pem")
    assert refused.value.code.name == "signing.key_exposed"
    assert "chmod 600" in refused.value.next


def test_files_are_used_when_asked_for_or_there_already_or_nothing_else_works(tmp_path: Path) -> None:
    assert isinstance(open_keyring(tmp_path / "a", "default", {"DATIVE_KEYRING": "file"}), FileKeyring)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "root.pem").write_bytes(b"x")
    assert isinstance(open_keyring(tmp_path / "b", "default", {}, backend=Backend), FileKeyring)
    assert isinstance(open_keyring(tmp_path / "c", "default", {}, backend=lambda: None), FileKeyring)
    assert isinstance(open_keyring(tmp_path / "c", "default", {}, backend=Backend), SystemKeyring)


def test_an_entry_that_somebody_changed_is_refused() -> None:
    backend = Backend()
    backend.set_password("dative", "default/root.pem", "no base64!")
    with pytest.raises(SigningError) as refused:
        SystemKeyring(backend, "default").get("root.pem")
    assert refused.value.code.name == "signing.key_unreadable"
