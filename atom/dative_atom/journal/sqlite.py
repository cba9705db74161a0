"""The journal on SQLite: one file for one atom, or for several on one host.

The parts, each inheriting the ones before, stand on `sqlite_store`: `outbox`, `executions`, `xref`, `dead_letters`,
`letter_changes`, `retries`, `receipts`, `vault`, `leading`, `settling`. What they promise stands in `contract.Journal`.
"""

from __future__ import annotations

from dative_atom.journal.contract import Journal
from dative_atom.journal.settling import Settling
from dative_atom.journal.sqlite_store import SqliteStore


class SqliteJournal(Settling, SqliteStore):
    """`contract.Journal` in a SQLite file, opened by the agent and by each of its workers at the same time."""


def _satisfies_the_contract(journal: SqliteJournal) -> Journal:
    return journal
