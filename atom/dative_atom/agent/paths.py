"""The data directory: which file is where, who may read it, and how it is written.

Everything is the atom's user's alone (0600, 0700) and written whole or not at all (Invariant 5). Knows no content.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from dative.bundle.blobs import write_whole
from dative.errors import DativeError
from dative.errors.agent import DATA_DIR_RIGHTS

__all__ = ["DataDir", "write_whole"]


@dataclass(frozen=True)
class DataDir:
    """Names of everything an atom keeps.

    certificate: private key and chain in one file, because two files can not be renamed together. joining_key: the
    same key before there is a chain. molecule: the controller's settings of the molecule; molecule_host: this host's own.
    instance: drawn with the directory. accepted: what was accepted last. active: what was accepted when the running
    bundle was, which is older after a rollback.
    """

    root: Path

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def joining_key(self) -> Path:
        return self.root / "atom.key"

    @property
    def certificate(self) -> Path:
        return self.root / "atom.pem"

    @property
    def ca(self) -> Path:
        return self.root / "ca.pem"

    @property
    def seal_key(self) -> Path:
        return self.root / "seal.key"

    @property
    def accepted(self) -> Path:
        return self.root / "accepted.json"

    @property
    def active(self) -> Path:
        return self.root / "active.json"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def commands(self) -> Path:
        return self.root / "commands"

    @property
    def schedules(self) -> Path:
        return self.root / "schedules.json"

    @property
    def molecule(self) -> Path:
        return self.root / "molecule.json"

    @property
    def molecule_host(self) -> Path:
        return self.root / "molecule-host.json"

    @property
    def instance(self) -> Path:
        return self.root / "instance"

    @property
    def journal(self) -> Path:
        return self.root / "journal.db"

    @property
    def lock(self) -> Path:
        return self.root / "atom.lock"

    @property
    def workers_lock(self) -> Path:
        return self.root / "workers.lock"

    @property
    def drained(self) -> Path:
        return self.root / "drained"

    @property
    def socket(self) -> Path:
        return self.root / "agent.sock"

    def prepare(self) -> None:
        """Make it, and refuse one that others could read. Errors: agent.data_dir_rights."""
        # Files that libraries make (the journal, its write-ahead log) are the owner's alone too.
        os.umask(0o077)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self.root.stat()
            if found.st_uid != os.geteuid():
                raise DativeError(
                    f"{self.root} belongs to user {found.st_uid}, this is user {os.geteuid()}", code=DATA_DIR_RIGHTS
                )
            if stat.S_IMODE(found.st_mode) & 0o077:
                self.root.chmod(0o700)
            for directory in (self.blobs, self.manifests, self.commands):
                directory.mkdir(exist_ok=True, mode=0o700)
        except OSError as refused:
            raise DativeError(f"{self.root}: {refused.strerror}", code=DATA_DIR_RIGHTS) from refused
