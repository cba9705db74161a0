"""Canaries: a secret in use appears in no text that went through the redactor, in no shape a library gives it."""

from __future__ import annotations

import base64
import json
import traceback
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from dative.errors.secrets import SecretsRefused
from dative.secrets.redact import MARK, SECRETS_MAX, Redactor
from dative.secrets.reference import SecretReference, resolve
from dative.secrets.secret import Secret
from hypothesis import given
from hypothesis import strategies as st

CANARY = 'canary-9f/K2 +"é\\hunter2'
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqG\nSM49AwEHBG0wawIBAQQgV3xQ\n-----END PRIVATE KEY-----\n"


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.register(Secret(value))
    return made


SHAPES = {
    "plain": lambda s: f"login with {s} failed",
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "URL": quote,
    "URL, all quoted": lambda s: quote(s, safe=""),
    "form": quote_plus,
    "query": lambda s: "https://host/?" + urlencode({"a": 1, "password": s}),
    "JSON": lambda s: json.dumps({"password": s}),
    "JSON in UTF-8": lambda s: json.dumps({"password": s}, ensure_ascii=False),
    "repr": lambda s: repr({"password": s}),
    "twice": lambda s: s + s,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_secret_is_redacted_in_the_shape(shape: Any) -> None:
    text = shape(CANARY)
    redacted = redactor("other-secret", CANARY).redact(text)
    assert MARK in redacted
    for other in SHAPES.values():
        assert other(CANARY) not in redacted
    assert "hunter2" not in redacted


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=30), st.text("abc:", max_size=7))
def test_a_secret_inside_a_longer_base64_text_is_redacted(secret: str, before: str) -> None:
    header = base64.b64encode(f"{before}:{secret}".encode()).decode()
    redacted = redactor(secret).redact("Basic " + header)
    assert MARK in redacted
    # At most the characters that share bits with a neighbour are left.
    assert len(redacted.replace(MARK, "")) <= len("Basic ") + len(base64.b64encode(f"{before}:".encode())) + 4


def test_each_line_of_a_private_key_is_redacted_by_itself() -> None:
    for line in PEM.splitlines()[1:3]:
        assert redactor(PEM).redact(f"unexpected token {line}") == f"unexpected token {MARK}"
    assert redactor(PEM).redact("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    assert redactor("hunter2", "hunter2-and-more").redact("is hunter2-and-more") == f"is {MARK}"


def test_short_values_and_other_text_are_left_alone() -> None:
    assert redactor("12345", "secret-1").redact("room 12345") == "room 12345"


def test_one_secret_too_many_is_refused_rather_than_forgotten() -> None:
    made = redactor(*(f"secret-{number}" for number in range(50)))
    made._count = SECRETS_MAX
    made.register(Secret("secret-1"))
    with pytest.raises(SecretsRefused):
        made.register(Secret("secret-new"))


def test_a_traceback_with_locals_shows_no_secret() -> None:
    held = Secret(CANARY)
    try:
        raise ValueError(f"login with {held} failed")  # noqa: TRY301
    except ValueError as failed:
        shown = "".join(traceback.TracebackException.from_exception(failed, capture_locals=True).format())
    # The test's own module holds the canary in a global; the frame's locals hold the Secret only.
    assert "held = Secret(hidden)" in shown
    assert "hunter2" not in shown


REFERENCES = ["sealed:erp.password", "env:ERP_PASSWORD", "file:/run/secrets/erp"]


@pytest.mark.parametrize("text", REFERENCES)
def test_a_reference_is_read_and_written_the_same(text: str) -> None:
    assert str(SecretReference.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2-is-my-password",
        "sealed:",
        "sealed:UPPER",
        "env:A B",
        "env:1A",
        "file:relative",
        "file:",
        "vault:x",
        "sealed:a\n",
        "file:/a\0b",
    ],
)
def test_another_reference_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(SecretsRefused) as refused:
        SecretReference.parse(text)
    assert refused.value.code.name == "secrets.bad_reference"
    if len(text) > 10:
        assert text not in str(refused.value)


def test_a_reference_resolves_where_it_points(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text(CANARY + "\n")
    sealed, environ = {"erp.password": Secret("sealed one")}, {"ERP_PASSWORD": "env one"}
    for text, expected in [
        ("sealed:erp.password", "sealed one"),
        ("env:ERP_PASSWORD", "env one"),
        (f"file:{tmp_path}/secret", CANARY),
    ]:
        assert resolve(SecretReference.parse(text), sealed, environ=environ).reveal() == expected


def test_a_reference_to_nothing_says_what_is_missing(tmp_path: Any) -> None:
    (tmp_path / "binary").write_bytes(b"\xff" + CANARY.encode())
    for text in ("sealed:gone", "env:GONE", f"file:{tmp_path}/gone", f"file:{tmp_path}", f"file:{tmp_path}/binary"):
        with pytest.raises(SecretsRefused) as refused:
            resolve(SecretReference.parse(text), {}, environ={})
        assert refused.value.code.name == "secrets.not_found"
        assert text in str(refused.value)
        assert not isinstance(refused.value.__context__, UnicodeError)  # it would carry the bytes


def test_a_file_over_its_bound_is_refused(tmp_path: Any) -> None:
    (tmp_path / "large").write_text("x" * 70_000)
    with pytest.raises(SecretsRefused) as refused:
        resolve(SecretReference.parse(f"file:{tmp_path}/large"), {})
    assert refused.value.code.name == "secrets.too_large"
