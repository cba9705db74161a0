"""What the engine is asked to run, as far as it looks at it.

The agent's words for this are `dative_atom.worker.protocol.RunExecution`, which has this form; the engine stands below
the worker and does not import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Binding(Protocol):
    """A connection as the environment binds it, secrets resolved."""

    @property
    def name(self) -> str: ...
    @property
    def connector(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, str]: ...
    @property
    def secrets(self) -> Mapping[str, str]: ...


class Keys(Protocol):
    """The environment's mask keys, version -> hex."""

    @property
    def mask(self) -> Mapping[int, str]: ...


class Limits(Protocol):
    """What one execution may use."""

    @property
    def memory_bytes(self) -> int: ...
    @property
    def batch_rows(self) -> int: ...


class Message(Protocol):
    """One planned execution and where its verified files are."""

    @property
    def execution_id(self) -> str: ...
    @property
    def process(self) -> str: ...
    @property
    def artifacts(self) -> Mapping[str, str]: ...
    @property
    def bindings(self) -> Sequence[Binding]: ...
    @property
    def environment_id(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def keep_trace(self) -> bool: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def resource(self) -> Mapping[str, str]: ...
    @property
    def fencing_token(self) -> int: ...
    @property
    def molecule_id(self) -> str: ...
    @property
    def atom_id(self) -> str: ...
    @property
    def keys(self) -> Keys: ...
