"""The agent's side of its molecule towards the controller: settings kept, identity told apart, status said.

Holds together what the link asks and tells about the molecule, so that the assembly has one part for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from dative.molecule_settings import journal_database
from dative.v1 import agent_pb2, types_pb2

from dative_atom.agent.molecule_report import MoleculeReport, MoleculeView
from dative_atom.agent.molecule_settings import MoleculeKeeper
from dative_atom.agent.paths import DataDir, write_whole

INSTANCE_CHARS = 32


class MoleculeSide:
    """nonce: of this process; two that take turns under one identity are two processes. instance: of the directory.

    view: what the member sees, None while this atom is none.
    """

    def __init__(
        self, directory: DataDir, atom_id: str, view: Callable[[], MoleculeView | None] = lambda: None
    ) -> None:
        self.nonce = secrets.token_hex(8)
        self.instance = instance_of(directory)
        self.keeper = MoleculeKeeper(directory)
        self.report = MoleculeReport(atom_id, view)

    def take(self, told: types_pb2.MoleculeSettings | None) -> None:
        self.keeper.take(told)

    def say(self) -> types_pb2.MoleculeStatus | None:
        return self.report.next()

    def introduce(self, hello: agent_pb2.Hello) -> agent_pb2.Hello:
        hello.boot_nonce, hello.instance_id = self.nonce, self.instance
        return hello

    def shown(self) -> dict[str, Any] | None:
        """For `dative-atom status`; None: this atom works alone, and shall."""
        running = self.keeper.running
        if running is None and not self.keeper.restart_needed:
            return None
        settings = running.settings if running else None
        return {
            "version": self.keeper.version,
            "etcd": list(settings.etcd_endpoints) if settings else [],
            "journal": journal_database(settings.journal) if settings else "",
            "restart_needed": self.keeper.restart_needed,
        }


def instance_of(directory: DataDir) -> str:
    """Drawn once and kept in the directory: a clone of the disk has the same, a copy of the keys alone has not."""
    try:
        found = directory.instance.read_text()[:INSTANCE_CHARS]
    except FileNotFoundError:
        found = ""
    if not found:
        found = secrets.token_hex(INSTANCE_CHARS // 2)
        write_whole(directory.instance, found.encode())
    return found
