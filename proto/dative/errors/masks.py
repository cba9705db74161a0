"""Codes of keyed masks and of the vault that makes tokens readable again."""

from __future__ import annotations

from dative.errors.base import Code

KEY_MISSING = Code(
    "masks.key_missing",
    "FAILED_PRECONDITION",
    "A mask needs the environment's mask key (hash, token, date_shift), and the environment has none.",
    "Make one: `dative vault key create --env ENV`, then deploy again.",
)
KEY_MALFORMED = Code(
    "masks.key_malformed",
    "DATA_LOSS",
    "A mask key of the environment is not 32 bytes in hex; it was not made by `dative vault key`.",
    "Make a new version: `dative vault key rotate --env ENV`, then deploy again.",
)
KEY_EXISTS = Code(
    "masks.key_exists",
    "ALREADY_EXISTS",
    "The environment has a mask key; another one gives other tokens and hashes for the same values.",
    "Leave it, or replace it on purpose: `dative vault key rotate --env ENV`.",
)
TOKEN_UNKNOWN = Code(
    "vault.token_unknown",
    "NOT_FOUND",
    "No connected atom of the environment holds this token in its vault.",
    "Check the token and the environment; an atom that is offline can not be asked: `dative atom list`.",
)
TOKEN_MALFORMED = Code(
    "vault.token_malformed",
    "INVALID_ARGUMENT",
    "The text is no token of a mask: tok_ and 20 hexadecimal digits.",
    "Copy the token whole, as the target holds it.",
)
NOT_ENTITLED = Code(
    "vault.not_entitled",
    "PERMISSION_DENIED",
    "The atom knows no reader with this key: the signed bundle does not name it.",
    "Make a reader's key with `dative vault enrol`; a deployer admits it with `dative vault allow`, then deploys.",
)
READER_UNKNOWN = Code(
    "vault.reader_unknown",
    "NOT_FOUND",
    "The environment admits no reader of this name.",
    "List them: `dative vault readers --env ENV`.",
)
NO_READER_KEY = Code(
    "vault.no_reader_key",
    "FAILED_PRECONDITION",
    "This machine has no reader's key, so nothing could be opened here.",
    "Make one: `dative vault enrol`, and have a deployer admit it.",
)
UNREADABLE = Code(
    "vault.unreadable",
    "DATA_LOSS",
    "The vault holds the token, and its value does not open with any mask key of the bundle.",
    "Deploy with the version of the mask key that sealed it; without that the value is gone.",
)
