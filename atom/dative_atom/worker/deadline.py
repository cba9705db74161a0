"""Until when this member may act: a word of memory that the agent writes and its workers read, asking nobody.

The first line of Invariant 4. A memfd holds one word a session of the molecule, float64 seconds on CLOCK_BOOTTIME: the
clock that nobody sets and that goes on while the machine sleeps. +inf: no molecule, nothing to lose. 0.0, and whatever
is no later than now: lost. The agent moves it on when etcd has prolonged the lease; while the agent is stopped, killed
or frozen together with its workers nobody does, so it passes by itself.

No read is torn: a word is eight bytes at a multiple of eight, which the interpreter copies with one load or store, and
x86-64 and AArch64 make those whole. A word for every session and not one for all: a worker that was stopped while its
session was lost and the next one began would find that one's deadline and go on with work that others have by now.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Final

from dative.errors.base import StopRun
from dative.errors.molecule import FENCED

NONE: Final = math.inf
LOST: Final = 0.0
SESSIONS: Final = 512
"""Words of a page. The session after so many uses the first one's again; by then no worker of that one is left: an agent
ends its workers with their session."""
_BYTES: Final = SESSIONS * 8
_SEAL_FUTURE_WRITE: Final = 0x10
"""Source: fcntl(2), F_SEAL_FUTURE_WRITE: mappings that are there may write, later ones may not. Linux 5.1."""


class Deadline:
    """One process' view of the words, bound to a session. Threads may share it; only the agent's can be written."""

    def __init__(self, memory: mmap.mmap, session: int, fd: int = -1) -> None:
        """fd: what workers are to inherit; -1 in a worker. Made by `make` and `open`."""
        self._memory = memory
        self._words = memoryview(memory).cast("d")
        self._session = session
        self.fd = fd

    @classmethod
    def make(cls) -> Deadline:
        """The agent's: session 0 is that of an atom without a molecule, which never ends."""
        fd = os.memfd_create("dative-deadline", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, _BYTES)
        made = cls(mmap.mmap(fd, _BYTES), 0, fd)
        # Who inherits it can neither prolong a deadline nor take the page away under those who read it.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE)
        made.publish(NONE)
        return made

    @classmethod
    def open(cls, fd: int, session: int) -> Deadline:
        """A worker's, for an execution that was given to it in that session. OSError for what is no such descriptor."""
        return cls(mmap.mmap(fd, _BYTES, prot=mmap.PROT_READ), session)

    @property
    def session(self) -> int:
        """What goes with every execution that is started now: `RunExecution.session`."""
        return self._session

    def begin(self) -> int:
        """A session begins; the one before is lost for good, whatever it still published. Valid from `publish` on."""
        self.publish(LOST)
        self._session += 1
        self.publish(LOST)
        return self._session

    def publish(self, until_s: float) -> None:
        """The session's deadline, seconds on CLOCK_BOOTTIME; `LOST` when it has ended."""
        self._words[self._session % SESSIONS] = until_s

    @property
    def valid(self) -> bool:
        """Now, by this very look: what was valid before a pause may not be after it."""
        return clock_gettime(CLOCK_BOOTTIME) < self._words[self._session % SESSIONS]

    def check(self) -> None:
        """StopRun molecule.fenced when this member may act no more."""
        if not self.valid:
            raise StopRun("this member's lease is not prolonged: others may have the work by now", code=FENCED)

    def close(self) -> None:
        """Closing twice is fine."""
        self._words.release()
        self._memory.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
