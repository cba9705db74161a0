"""The journal on SQLite: one file for one atom, or for several on one host.

Its parts, each inheriting the ones before: `database` (the file), `outbox`, `executions`, `xref`, `dead_letters`,
`letter_changes`, `retries`, `receipts`, `vault`, `settling`. What they promise stands in `contract.Journal`.
"""

from __future__ import annotations

from dative_atom.journal.contract import Journal
from dative_atom.journal.settling import Settling


class SqliteJournal(Settling):
    """`contract.Journal` in a SQLite file, opened by the agent and by each of its workers at the same time."""


def _satisfies_the_contract(journal: SqliteJournal) -> Journal:
    return journal
