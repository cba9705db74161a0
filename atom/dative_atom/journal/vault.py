"""Which value a token stands for: blocks sealed by whoever masks, found by their tokens.

The journal has not the key: a block comes sealed under the environment's mask key, so that a copied atom directory shows
no value that a token hides. One block a batch, holding only what was new, keeps it at the speed of the columns. A vault
grows with the different values ever masked; nothing is ever taken out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from dative_atom.journal.store import Store

_decode = msgspec.msgpack.Decoder(dict[str, str]).decode
ABOUT: Final = "dative/vault/v1/"
"""With the environment's id behind it: what a block is bound to when it is sealed."""


class VaultBlocks(Store):
    """See the module; the contract's words stand in `contract.Journal`."""

    def unknown_tokens(self, tokens: Sequence[str]) -> list[str]:
        table, values = self.given(tokens)
        with self.reading() as db:
            rows = db.execute(
                f"SELECT c0 FROM {table} AS k WHERE NOT EXISTS (SELECT 1 FROM vault WHERE token = c0) ORDER BY n",
                values,
            ).fetchall()
        return [row[0] for row in rows]

    def keep_tokens(self, tokens: Sequence[str], key_version: int, body: bytes) -> None:
        with self.transaction() as db:
            (block,) = db.execute(
                "INSERT INTO vault_block (key_version, body) VALUES (?, ?) RETURNING block", (key_version, body)
            ).fetchone()
            # Two executions may meet the same value at once: the token is the same, and the first block stays its own.
            # In one order, so that neither waits for the other.
            rows = [(token, block) for token in sorted(tokens)]
            db.executemany("INSERT INTO vault VALUES (?, ?) ON CONFLICT DO NOTHING", rows)

    def token_block(self, token: str) -> tuple[int, bytes] | None:
        with self.reading() as db:
            row = db.execute(
                "SELECT key_version, body FROM vault JOIN vault_block USING (block) WHERE token = ?", (token,)
            ).fetchone()
        return (row[0], row[1]) if row else None


def block(tokens: Sequence[str], values: Sequence[str]) -> bytes:
    """The body of a block, in the clear: on its way to `MaskKeys.seal` and from `MaskKeys.open` only."""
    return msgspec.msgpack.encode(dict(zip(tokens, values, strict=True)))


def values_of(body: bytes) -> Mapping[str, str]:
    """What `block` holds: token -> value."""
    return _decode(body)
