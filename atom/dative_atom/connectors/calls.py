"""One call of a system as a span: `with call(…) as made:` around it, whatever becomes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dative.errors.base import DativeError

from dative_atom.connectors.base import CallLog

Attribute = str | int | float | bool


@dataclass
class Call:
    """A call that is under way; whoever makes it adds what came of it. traceparent: for the request's header."""

    traceparent: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str = ""


@contextmanager
def call(log: CallLog, name: str, attributes: Mapping[str, Attribute]) -> Iterator[Call]:
    """Invariant 6: neither name nor attributes hold a literal, a body or a secret; an error is told by its code only."""
    made = Call(log.traceparent(), dict(attributes))
    start_ns = time.time_ns()
    try:
        yield made
    except BaseException as error:
        made.error = made.error or (error.code.name if isinstance(error, DativeError) else type(error).__name__)
        raise
    finally:
        log.called(
            name,
            traceparent=made.traceparent,
            start_ns=start_ns,
            end_ns=time.time_ns(),
            attributes=made.attributes,
            error=made.error,
        )


class Unlogged:
    """The log of calls that belong to no execution, as those of a connection test."""

    def traceparent(self) -> str:
        """No trace."""
        return ""

    def called(
        self,
        name: str,
        *,
        traceparent: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, Attribute],
        error: str = "",
    ) -> None:
        """Nobody asks for it."""
