"""Who is calling: found out once per call, carried beside it, asked by the services for each environment they touch."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from dative.errors import DativeError
from dative.errors.rpc import DENIED
from dative.rpc import TraceContext

SYSTEM = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """bindings: (role, environment id or "" for all). allowed: the roles that this RPC asks for. peer: the address."""

    subject: str
    bindings: frozenset[tuple[str, str]]
    allowed: frozenset[str]
    method: str
    peer: str
    trace: TraceContext
    parent_span_id: str = ""

    def require(self, environment_id: str, roles: frozenset[str] | None = None) -> None:
        """Errors: rpc.permission_denied unless one of the RPC's roles (or of `roles`) is bound here or everywhere."""
        wanted = self.allowed if roles is None else roles
        if not any(role in wanted and bound in ("", environment_id) for role, bound in self.bindings):
            raise DativeError(f"{self.subject} has none of the roles {', '.join(sorted(wanted))} here", code=DENIED)

    def environments(self) -> list[str] | None:
        """The environments in which this RPC is allowed; None: all."""
        bound = {environment for role, environment in self.bindings if role in self.allowed}
        return None if "" in bound else sorted(bound)


CALLER: ContextVar[Caller] = ContextVar("dative_caller")


def caller() -> Caller:
    """Of the call that is being served."""
    return CALLER.get()
