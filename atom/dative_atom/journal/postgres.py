"""The journal on PostgreSQL: one database for the atoms of a molecule, on as many hosts as it has.

The parts are those of `sqlite.py`; they stand on `postgres_store` here. Imported only where a journal lies in PostgreSQL,
because the driver costs an agent memory that it would not use.
"""

from __future__ import annotations

from typing import Final

from dative_atom.journal.contract import Journal
from dative_atom.journal.letters import Letters
from dative_atom.journal.molecular import Molecular
from dative_atom.journal.postgres_store import PostgresStore, repeating
from dative_atom.journal.settling import Settling

_AS_THEY_ARE: Final = ("close", "now_ms", "snapshot_keys")
"""Nothing to try again: no database, or pages of which each is a method of its own."""


class PostgresJournal(Settling, PostgresStore):
    """`contract.Journal` in a PostgreSQL schema. Every method of the contract tries again as `PostgresStore.repeated` says."""


for _contract in (Letters, Molecular, Journal):
    for _name in vars(_contract):
        if not _name.startswith("_") and _name not in _AS_THEY_ARE:
            setattr(PostgresJournal, _name, repeating(getattr(PostgresJournal, _name)))
PostgresJournal.snapshot_page = repeating(PostgresJournal.snapshot_page)  # type: ignore[assignment]


def _satisfies_the_contract(journal: PostgresJournal) -> Journal:
    return journal
