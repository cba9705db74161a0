"""The rich wrapper, written once around every connector's small readers and writers.

It checks what goes in and what comes out against the contract of `base.py`, turns what a connector did not foresee into a
coded error, and takes the connection's secrets out of every message. The engine opens connections only through
`open_connection`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import cast
from urllib.parse import quote

import pyarrow as pa
from dative.bundle.canonical import canonical_json
from dative.clock import Clock
from dative.errors.base import ConfigError, DativeError, StopRun
from dative.errors.connector import CONTRACT_BROKEN, UNEXPECTED
from dative.process.targets import parse_target

from dative_atom.connectors.base import (
    PART_BYTES_MAX,
    POSITION_BYTES_MAX,
    PREVIEW_FIELDS,
    Ahead,
    Checked,
    ConnectionConfig,
    Connector,
    Divisible,
    Division,
    Mark,
    Operation,
    Outcomes,
    Position,
    Preview,
    Previewer,
    Previewing,
    Prober,
    Profiling,
    Read,
    Reader,
    RunContext,
    Ticket,
    Writer,
)
from dative_atom.connectors.registry import connector_class, connector_spec
from dative_atom.connectors.retry import stop_if
from dative_atom.connectors.spec import ConnectorSpec, parsed

SECRET_LENGTH_MIN = 6
"""Shorter secrets are not taken out of messages: they would tear holes into ordinary words."""
ROWS_MAX = 100_000


def open_connection(config: ConnectionConfig) -> Connector:
    """The connector of that connection, guarded. ConfigError naming every setting that does not hold."""
    spec = connector_spec(config.connector)
    parsed(spec.settings, config.settings, f"connection {config.name}")
    missing = [name for name in spec.required_secrets if not config.secrets.get(name)]
    if missing:
        raise ConfigError(
            f"connection {config.name} has no secret {', '.join(missing)}; set it: dative env secret set",
            where=f"connection {config.name}",
        )
    guard = Guard(config)
    with guard.errors("open"):
        return GuardedConnector(connector_class(config.connector)(config), guard, spec)


class Guard:
    """What all wrappers of one connection share: its name and its secrets."""

    def __init__(self, config: ConnectionConfig) -> None:
        self.where = f"connection {config.name}"
        values = {value for value in config.secrets.values() if len(value) >= SECRET_LENGTH_MIN}
        forms = {form for value in values for form in (value, quote(value, safe=""), _base64(value))}
        self._secrets = sorted(forms, key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Invariant 6: the text without any of the connection's secrets, in their usual spellings."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Coded errors pass, redacted; anything else becomes connector.unexpected, told by its type only.

        The text of a foreign exception may hold a document's values, so it goes nowhere but into `__cause__`.
        """
        try:
            yield
        except DativeError as error:
            error.message = self.redact(error.message)
            error.args = (error.message,)
            error.where = error.where or self.where
            raise
        except Exception as error:
            raise StopRun(
                f"{doing} failed with {type(error).__module__}.{type(error).__name__}",
                code=UNEXPECTED,
                where=self.where,
            ) from error

    def broken(self, rule: str) -> StopRun:
        return StopRun(f"the connector of {self.where} broke a rule: {rule}", code=CONTRACT_BROKEN, where=self.where)


class GuardedConnector:
    """A `Connector` whose every call is guarded. Made by `open_connection` only."""

    def __init__(self, inner: Connector, guard: Guard, spec: ConnectorSpec) -> None:
        self._inner, self._guard, self._spec = inner, guard, spec

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        self._check(operation, "source")
        with self._guard.errors("opening the reader"):
            inner = self._inner.reader(operation, context)
            guarded = GuardedDivisible if isinstance(inner, Divisible) else GuardedReader
            return guarded(inner, self._guard, context)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:
        self._check(operation, "target")
        with self._guard.errors("opening the writer"):
            inner = self._inner.writer(operation, context, documents)
            guarded = GuardedProber if isinstance(inner, Prober) else GuardedWriter
            return guarded(inner, self._guard, documents)

    def previewer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Previewer | None:
        """None where the connector can not look."""
        self._check(operation, "target")
        if not hasattr(self._inner, "previewer"):
            return None
        looking = cast(Previewing, self._inner)
        with self._guard.errors("opening the preview"):
            return GuardedPreviewer(looking.previewer(operation, context, documents), self._guard)

    def profile(self, operation: Operation, clock: Clock) -> Mapping[str, str] | None:
        """None where the connector has nothing to say of fields. StopRun for a type that is none."""
        known = self._spec.operations.get(operation.operation)
        self._check(operation, known.kind if known else "source or target")
        if not hasattr(self._inner, "profile"):
            return None
        with self._guard.errors("looking at the fields"):
            fields = cast(Profiling, self._inner).profile(operation, clock)
        try:
            parse_target(fields or {})
        except ValueError as error:
            raise self._guard.broken(f"a profile with a type that is none: {error}") from error
        return fields

    def result_names(self, operation: Operation) -> list[str]:
        """The result.* columns that the operation's spec promises."""
        return [f"result.{name}" for name in self._spec.operations[operation.operation].results]

    def _check(self, operation: Operation, kind: str) -> None:
        known = [name for name, spec in self._spec.operations.items() if spec.kind == kind]
        if operation.operation not in known:
            raise ConfigError(
                f"{operation.connector}.{operation.operation} is no {kind}; there are {', '.join(known) or 'none'}",
                where=f"step {operation.step}",
            )

    def check(self, clock: Clock) -> Iterator[Checked]:
        """Stops at the first step that fails, and an error is a failed step, never an exception."""
        name = "check"
        try:
            with self._guard.errors("check"):
                for step in self._inner.check(clock):
                    name = step.name
                    yield Checked(step.name, step.passed, self._guard.redact(step.detail))
                    if not step.passed:
                        return
        except DativeError as error:
            yield Checked(f"after {name}", False, f"{error} {error.next}")

    def close(self) -> None:
        with suppress(Exception):
            self._inner.close()


class GuardedReader:
    """A `Reader` that holds to the contract or stops the run."""

    def __init__(self, inner: Reader, guard: Guard, context: RunContext) -> None:
        self._inner, self._guard, self._context = inner, guard, context

    @property
    def profile(self) -> pa.Schema:
        with self._guard.errors("reading the profile"):
            return self._inner.profile

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        """As `Reader.read`. Looks at `cancelled` before each batch."""
        return self._checked(lambda: self._inner.read(after, rows_max), rows_max)

    def _checked(self, read_all: Callable[[], Iterator[Read]], rows_max: int) -> Iterator[Read]:
        if not 1 <= rows_max <= ROWS_MAX:
            raise ConfigError(f"rows_max is {rows_max}; it must be 1..{ROWS_MAX}", where=self._guard.where)
        with self._guard.errors("reading"):
            profile = self._inner.profile
            for read in read_all():
                self._check(read, profile, rows_max)
                yield read
                stop_if(self._context.cancelled)

    def _check(self, read: Read, profile: pa.Schema, rows_max: int) -> None:
        if not read.batch.schema.equals(profile):
            raise self._guard.broken("a batch does not have the profile's columns")
        if read.batch.num_rows > rows_max:
            raise self._guard.broken(f"a batch of {read.batch.num_rows} rows where {rows_max} were allowed")
        if len(canonical_json(dict(read.position))) > POSITION_BYTES_MAX:
            raise self._guard.broken(f"a position larger than {POSITION_BYTES_MAX} bytes")

    def acknowledge(self, position: Position) -> None:
        with self._guard.errors("acknowledging"):
            self._inner.acknowledge(position)

    def close(self) -> None:
        with suppress(Exception):
            self._inner.close()


class GuardedDivisible(GuardedReader):
    """A `Divisible` that holds to the contract or stops the run."""

    def divide(self, after: Position | None, parts_max: int) -> Division:
        with self._guard.errors("dividing"):
            division = cast(Divisible, self._inner).divide(after, parts_max)
        if len(division.parts) > parts_max or any(len(part) > PART_BYTES_MAX for part in division.parts):
            raise self._guard.broken(f"more than {parts_max} parts, or one larger than {PART_BYTES_MAX} bytes")
        if bool(division.parts) != (division.end is not None) or len(set(division.parts)) != len(division.parts):
            raise self._guard.broken("parts without an end, an end without parts, or a part twice")
        return division

    def read_part(self, part: bytes, after: Position | None, rows_max: int) -> Iterator[Read]:
        """As `Divisible.read_part`. Looks at `cancelled` before each batch."""
        inner = cast(Divisible, self._inner)
        return self._checked(lambda: inner.read_part(part, after, rows_max), rows_max)


class GuardedWriter:
    """A `Writer` that holds to the contract or stops the run."""

    def __init__(self, inner: Writer, guard: Guard, documents: pa.Schema) -> None:
        self._inner, self._guard, self._documents = inner, guard, documents

    @property
    def transactional(self) -> bool:
        return self._inner.transactional

    @property
    def result_fields(self) -> pa.Schema:
        return self._inner.result_fields

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        """As `Writer.write`; a batch with other columns than announced, or outcomes that do not line up, stop the run."""
        if documents.schema.names != self._documents.names:
            raise self._guard.broken("a batch was given whose columns are not those the writer was opened with")
        with self._guard.errors("writing"):
            outcomes = self._inner.write(documents, ticket)
        if outcomes.results.num_rows != documents.num_rows:
            self.rollback()
            raise self._guard.broken(f"{outcomes.results.num_rows} outcomes for {documents.num_rows} documents")
        return outcomes

    def ahead(self, batch: int, documents: pa.RecordBatch) -> None:
        if isinstance(self._inner, Ahead):
            self._inner.ahead(batch, documents)

    def commit(self, ticket: Ticket) -> None:
        with self._guard.errors("committing"):
            self._inner.commit(ticket)

    def rollback(self) -> None:
        with suppress(Exception):
            self._inner.rollback()

    def committed(self, stream: str) -> Mark | None:
        with self._guard.errors("asking for the mark"):
            return self._inner.committed(stream)

    def close(self) -> None:
        with suppress(Exception):
            self._inner.close()


class GuardedPreviewer:
    """A `Previewer` that holds to the contract or stops the run."""

    def __init__(self, inner: Previewer, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    @property
    def result_fields(self) -> pa.Schema:
        return self._inner.result_fields

    def preview(self, documents: pa.RecordBatch) -> Preview:
        with self._guard.errors("looking at the target"):
            preview = self._inner.preview(documents)
        if preview.rows.num_rows != documents.num_rows or not preview.rows.schema.equals(PREVIEW_FIELDS):
            raise self._guard.broken("a preview that does not line up with its documents")
        return preview

    def close(self) -> None:
        with suppress(Exception):
            self._inner.close()


class GuardedProber(GuardedWriter):
    """A `Prober` that holds to the contract or stops the run."""

    def probe(self, documents: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
        with self._guard.errors("looking for documents"):
            found: pa.RecordBatch = self._inner.probe(documents, key)  # type: ignore[attr-defined]  # made for probers only
        if found.num_rows != documents.num_rows:
            raise self._guard.broken(f"{found.num_rows} answers for {documents.num_rows} documents")
        return found


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
