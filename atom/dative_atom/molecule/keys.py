"""Where a molecule's keys stand in etcd. What lives here knows their names, not what their values mean.

/dative/<environment id>/<molecule>/leader/<lease>               session   a candidate; the oldest leads
                                    members/<atom>               session   a member
                                    exec/<execution>             -         an execution that is not over
                                    assigned/<atom>/<execution>  session   of the member that is to run it
                                    ckpt/<execution>             -         how far it is
                                    quarantine/<atom>            -         an identity that two atoms have
                                    terms                        -         the last leaders
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dative.errors import DativeError
from dative.errors.molecule import NAME_INVALID

_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}")

Kind = Literal["leader", "members", "exec", "assigned", "ckpt", "quarantine", "terms"]
_PARTS: dict[str, int] = {"leader": 1, "members": 1, "exec": 1, "assigned": 2, "ckpt": 1, "quarantine": 1, "terms": 0}


@dataclass(frozen=True, slots=True)
class Named:
    """A key taken apart. atom: of members, assigned, quarantine. execution_id: of exec, assigned, ckpt."""

    kind: Kind
    atom: str = ""
    execution_id: str = ""


class Keys:
    """The layout of one molecule. Errors of all: molecule.name_invalid."""

    def __init__(self, environment_id: str, molecule: str) -> None:
        self.prefix = f"/dative/{checked(environment_id)}/{checked(molecule)}/"
        self.terms = self.prefix + "terms"

    def leader(self, lease_id: int) -> str:
        return f"{self.prefix}leader/{lease_id:016x}"

    def member(self, atom: str) -> str:
        return f"{self.prefix}members/{checked(atom)}"

    def execution(self, execution_id: str) -> str:
        return f"{self.prefix}exec/{checked(execution_id)}"

    def assigned(self, atom: str, execution_id: str) -> str:
        return f"{self.prefix}assigned/{checked(atom)}/{checked(execution_id)}"

    def checkpoint(self, execution_id: str) -> str:
        return f"{self.prefix}ckpt/{checked(execution_id)}"

    def quarantine(self, atom: str) -> str:
        return f"{self.prefix}quarantine/{checked(atom)}"

    def named(self, key: str) -> Named | None:
        """None: a key that no member writes."""
        if not key.startswith(self.prefix):
            return None
        kind, *names = key.removeprefix(self.prefix).split("/")
        if _PARTS.get(kind) != len(names) or not all(_NAME.fullmatch(name) for name in names):
            return None
        match kind:
            case "leader" | "terms":
                return Named(kind)
            case "members" | "quarantine":
                return Named(kind, atom=names[0])
            case "exec" | "ckpt":
                return Named(kind, execution_id=names[0])
            case _:
                return Named("assigned", atom=names[0], execution_id=names[1])


def checked(name: str, where: str = "") -> str:
    """The name, fit for a key. Errors: molecule.name_invalid."""
    if not _NAME.fullmatch(name):
        raise DativeError(f"{name[:140]!r} can not be a name in etcd's keys", code=NAME_INVALID, where=where)
    return name
