"""Whether this member may still act: what the engine asks before every effect, and what a stop for it means.

Invariant 4 in three lines of defence: this look, the fencing token at target and journal, keys that make a repetition
harmless. Whoever is fenced stops as if it had been killed: open transactions are rolled back, nothing is written down,
nothing is probed. Another member goes on from what has settled.
"""

from __future__ import annotations

from dative.errors import DativeError
from dative.errors import connector as connector_codes
from dative.errors import molecule as codes
from dative.errors.base import StopRun

from dative_atom.connectors.base import Fence


class Latch:
    """One execution's fence. Once it has said no it says no: a deadline that moves on late wakes nothing up again."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._lost = False

    def check(self) -> None:
        """StopRun molecule.fenced. Threads of the execution share it."""
        if self._lost:
            raise StopRun("this member lost its lease while the execution ran", code=codes.FENCED)
        try:
            self._fence.check()
        except BaseException:
            self._lost = True
            raise


def is_fenced(error: BaseException | None, fencing_token: int) -> bool:
    """This error, or what it came from, says that the execution is somebody else's by now.

    fencing_token: 0 of an atom alone, which has no successor: a target that refuses its token fails the execution.
    """
    while error is not None:
        if isinstance(error, DativeError):
            if error.code is codes.FENCED:
                return True
            if error.code is connector_codes.FENCED and fencing_token > 0:
                return True
        error = error.__cause__ or error.__context__
    return False
