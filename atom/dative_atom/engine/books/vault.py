"""Puts what a token hides into the vault, before any target can see the token.

Written ahead, in a transaction of its own: a batch that is killed after its targets were written is written again with
the same tokens, but an execution that ends for good between a target and its settlement would leave tokens behind whose
value nobody kept. A value in the vault whose token went nowhere does no harm.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from dative.secrets import MaskKeys

from dative_atom.journal.contract import Journal
from dative_atom.journal.vault import ABOUT, block


class Vault:
    """Of one environment, as one execution writes it. Safe in threads: the journal gives each its own connection."""

    def __init__(self, journal: Journal, keys: MaskKeys, environment_id: str) -> None:
        self._journal = journal
        self._keys = keys
        self._about = ABOUT + environment_id

    def keep(self, tokens: pa.Array, values: pa.Array) -> None:
        """tokens, values: text columns of one length, null in the same rows. Only what is new is sealed and written."""
        distinct = pc.unique(pc.drop_null(tokens))
        new = self._journal.unknown_tokens(distinct.to_pylist()) if len(distinct) else []
        if not new:
            return
        rows = pc.index_in(pa.array(new, pa.string()), value_set=tokens.cast(pa.string()))
        body = block(new, values.take(rows).cast(pa.string()).to_pylist())
        self._journal.keep_tokens(new, self._keys.current, self._keys.seal(body, self._about))
