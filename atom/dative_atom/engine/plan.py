"""The compiled process, and the small contract that every shape keeps.

A plan is made once per execution. Its steps are in two stages with a bounded queue between them: `transform` touches
nothing but the batch, `deliver` begins with the first target. This file knows no shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from dative.ids import StepId
from dative.process.chains import NONE, Chains
from dative.process.model import Process
from dative.process.shapes import OperationSettings, Step
from dative.secrets import MaskKeys

from dative_atom.connectors.base import Ahead, Writer
from dative_atom.documents.profile import field_types
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.evaluation.expression import Scope
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.making.cache import CacheSpec
from dative_atom.engine.making.running import DOCUMENT_PROPERTY
from dative_atom.engine.routing import Flow


class Shape(Protocol):
    """One compiled step.

    Every shape keeps this, and `tests/engine/test_shape_contract.py` holds each of them to it: no document disappears
    (it flows on, fails, or comes to rest in the flow); DOCUMENT numbers are kept and rise; an empty batch is fine; n
    batches of one row end as one batch of n rows.
    """

    @property
    def step(self) -> StepId: ...

    @property
    def verb(self) -> str: ...

    @property
    def schema(self) -> pa.Schema | None:
        """The columns of what flows on, lineage included; None when every document ends here."""
        ...

    @property
    def effect(self) -> bool:
        """True: it, or a step inside it, writes to a target, so it belongs to the deliver stage."""
        ...

    @property
    def composite(self) -> bool:
        """True: it holds other steps, whose failures are theirs."""
        ...

    @property
    def recorded(self) -> bool:
        """False: a half of a shape, whose other half is recorded for both."""
        ...

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        """Lead the documents through. batch: the columns for which it was compiled, 0..n rows."""
        ...


OpenWriter = Callable[[Step, OperationSettings, pa.Schema], Writer]
KeepTokens = Callable[[pa.Array, pa.Array], None]


@dataclass(frozen=True)
class Target:
    """A writer of the plan, the step it belongs to, and the payload columns that it was opened for."""

    step: StepId
    writer: Writer
    documents: pa.Schema


@dataclass(frozen=True)
class Called:
    """A process that steps may call, and what its own steps are compiled in. parameters: None where none is set."""

    process: Process
    tables: Tables
    parameters: Mapping[str, str | None]


@dataclass
class Calling:
    """A process is compiled for the step that calls it.

    trail: the processes inside one another, the execution's own first. returns: the columns at each of its
    `return_documents`.
    """

    step: StepId
    trail: tuple[str, ...]
    returns: list[pa.Schema] = field(default_factory=list)


@dataclass
class Steps:
    """How many steps have been compiled for calls so far."""

    count: int = 0


@dataclass
class Context:
    """What compiling needs.

    session: of the compiling thread; it finds the types of expressions by evaluating them over no rows.
    new_session: a further session, for steps that run in a thread of their own.
    mask_keys: of the environment, the same in every execution. started_at: of the execution's first attempt.
    keep_tokens: (tokens, their values as text) into the vault, before any target can see one of them.
    allows: what this atom lets a process do beyond its rights: "scripts", "command:/a/path".
    dry: nothing may be done outside. closing: called at the execution's end.
    processes: those that may be called. calling: None for the process that the execution runs.
    caches: those that compiled steps fill.
    running: properties that compiled steps set, and those of former executions ("start.x"), with their types.
    """

    process: str
    environment_id: str
    session: Session
    tables: Tables
    parameters: Mapping[str, str]
    properties: Mapping[str, str]
    rates: str | None
    unique: Mapping[str, Sequence[str] | None]
    mask_keys: MaskKeys
    started_at: datetime
    open_writer: OpenWriter
    new_session: Callable[[], Session]
    keep_tokens: KeepTokens
    conflicts: Mapping[str, str] = field(default_factory=dict)
    chains: Chains = field(default_factory=lambda: NONE)
    queries: list[Query] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    processes: Mapping[str, Called] = field(default_factory=dict)
    calling: Calling | None = None
    steps: Steps = field(default_factory=Steps)
    allows: frozenset[str] = frozenset()
    dry: bool = False
    closing: list[Callable[[], None]] = field(default_factory=list)
    running: dict[str, pa.DataType] = field(default_factory=dict)
    caches: dict[str, CacheSpec] = field(default_factory=dict)

    def scope(self, schema: pa.Schema | None = None, *, each: bool = False) -> Scope:
        """A scope for the expressions of one query. schema: of the documents, where it is known."""
        return Scope(
            self.parameters,
            self.properties,
            self.tables.names,
            self.rates,
            chains=self.chains,
            types=field_types(schema) if schema is not None else {},
            each=each,
            columns=frozenset(name.lower() for name in schema.names) if schema is not None else frozenset(),
            running=self.running,
            own=self.own,
            caches=self.caches,
        )

    def own(self, name: str) -> str:
        """A property's name in the execution: of a called process it is another one than of its caller."""
        travels = self.calling is None or name.startswith(DOCUMENT_PROPERTY)
        return name if travels else f"{name}@{self.process}"

    def query(
        self, outputs: Sequence[tuple[str, str]], where: str, schema: pa.Schema | None = None, *, each: bool = False
    ) -> Query:
        """A query of (target field, SQL) pairs, all in one scope. each: over the items of a list. Raises StopRun."""
        scope = self.scope(schema, each=each)
        compiled = [(name, scope.compile(sql, f"{where}, field {name}")) for name, sql in outputs]
        query = Query(compiled, scope, self.tables)
        self.queries.append(query)
        return query


@dataclass(frozen=True)
class Plan:
    """A compiled process. transform runs ahead of deliver; together they are all its steps in order.

    targets: every writer, in the order of the steps: the order in which they commit. running: the properties that the
    steps set for other documents, with their types. ahead: the writer that is given what leaves the transform stage just as
    it is, if it can make use of knowing it early.
    """

    transform: Sequence[Shape]
    deliver: Sequence[Shape]
    targets: Sequence[Target]
    queries: Sequence[Query]
    running: Mapping[str, pa.DataType] = field(default_factory=dict)
    ahead: Ahead | None = None

    def transactional(self) -> Iterator[Target]:
        """The targets that commit together with their mark."""
        return (target for target in self.targets if target.writer.transactional)

    @property
    def strict_rows(self) -> int:
        """Rows that were evaluated strictly because they were suspect: see `query.Watch`."""
        return sum(query.watch.strict_rows for query in self.queries)
