"""Answers what a token of this atom stands for, to a reader whom the signed bundle admits.

The controller decides who may ask; the atom does not take its word for it. The answer is sealed to the reader's own
long-lived key, and only to one that stands in the sealed set which the signed manifest names: a controller that was taken
over can ask, and can not read.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final

from dative.errors import DativeError
from dative.errors.masks import NOT_ENTITLED, TOKEN_MALFORMED, TOKEN_UNKNOWN
from dative.secrets import MaskKeys, seal, seal_info
from dative.v1 import agent_pb2

from dative_atom.journal.contract import Journal
from dative_atom.journal.vault import ABOUT, values_of

REVEAL_PURPOSE: Final = "dative/vault-reveal/v1"
_TOKEN: Final = re.compile(r"\Atok_[0-9a-f]{20}\Z")


def revealed(journal: Journal, keys: MaskKeys, environment_id: str, token: str) -> str:
    """The value. Errors: vault.token_malformed, vault.token_unknown, vault.unreadable."""
    if not _TOKEN.match(token):
        raise DativeError(f"a text of {len(token)} characters is no token", code=TOKEN_MALFORMED)
    found = journal.token_block(token)
    if found is None:
        raise DativeError(f"token {token} is not in this atom's vault", code=TOKEN_UNKNOWN)
    version, body = found
    return values_of(keys.open(body, ABOUT + environment_id, version))[token]


def admitted(readers: Mapping[str, bytes], key: bytes) -> str:
    """Whose key it is. Errors: vault.not_entitled."""
    reader = next((name for name, public in readers.items() if hmac.compare_digest(public, key)), None)
    if reader is None:
        raise DativeError("no reader of the vault has this key", code=NOT_ENTITLED)
    return reader


def answer(
    wanted: agent_pb2.RevealToken, journal: Journal, keys: MaskKeys, readers: Mapping[str, bytes], environment_id: str
) -> agent_pb2.RevealTokenResult:
    """The value, sealed to the reader. Errors: vault.not_entitled and those of `revealed`."""
    reader = admitted(readers, wanted.reader_public_key)
    value = revealed(journal, keys, environment_id, wanted.token)
    sealed = seal(value.encode(), wanted.reader_public_key, seal_info(REVEAL_PURPOSE, environment_id, wanted.token))
    return agent_pb2.RevealTokenResult(sealed_value=sealed, reader=reader)
