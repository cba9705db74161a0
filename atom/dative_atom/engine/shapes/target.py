"""A target: any connector's operation as a writer, its outcomes turned into routes, its links into table rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.catalog import default_catalog
from dative.process.shapes import OperationSettings

from dative_atom.connectors.base import Outcome, Writer
from dative_atom.documents.batch import DOCUMENT, ERROR_COLUMNS, payload, payload_fields
from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.effects.certainty import UNCERTAIN, Certainty, Verify
from dative_atom.engine.effects.retry import RetryPolicy, policy_of
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.plan import Target
from dative_atom.engine.routing import ERRORS, Flow, Reached, Written, errors_of, without
from dative_atom.journal.contract import LinkRows

RESULT_ID = "result.id"


@dataclass(frozen=True)
class Link:
    """A `link` modifier. columns: of the cross-reference table, in the order of the query's outputs.

    conflicts: asks the journal which rows would meet others that do not agree.
    """

    table: str
    columns: tuple[str, ...]
    unique: Sequence[str] | None
    conflict: str
    conflicts: Callable[[LinkRows], list[int]]
    query: Query


@dataclass(frozen=True)
class TargetShape:
    """Writes the documents. Applied and unchanged ones flow on; rejected and unknown ones take the catch route.

    tells_ids: False where a document's id at the target is a value that is disclosed to the target alone.
    """

    step: StepId
    verb: str
    writer: Writer
    policy: RetryPolicy
    link: Link | None
    schema: pa.Schema
    certainty: Certainty = UNCERTAIN
    tells_ids: bool = True
    effect: bool = True
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        if batch.num_rows == 0:
            return batch
        if flow.effects is None:
            raise StopRun(f"step {self.step} writes in a stage that may not", code=codes.READ_INVALID)
        numbers = batch.column(DOCUMENT)
        results = flow.effects.write(self.step, self.writer, self.policy, payload(batch), self.certainty, numbers)
        if results.num_rows != batch.num_rows:
            raise StopRun(
                f"step {self.step}: {results.num_rows} outcomes for {batch.num_rows} documents", code=codes.READ_INVALID
            )
        documents, told = batch.column(DOCUMENT), (results.column("outcome"), results.column("code"))
        flow.reached.append(Reached(self.step, documents, *told, self._ids(results)))
        done = pc.is_in(results.column("outcome"), value_set=pa.array([Outcome.APPLIED.value, Outcome.UNCHANGED.value]))
        if not pc.all(done).as_py():
            refused = pc.invert(done)
            flow.fail(self._refusals(batch.column(DOCUMENT).filter(refused), results.filter(refused)))
            batch, results = batch.filter(done), results.filter(done)
        flow.written.append(Written(self.step, batch.column(DOCUMENT), self._ids(results)))
        return batch if self.link is None else self._linked(self.link, batch, results, flow)

    def _ids(self, results: pa.RecordBatch) -> pa.Array:
        """The documents' ids at the target, null where it has none or where they are not to be told."""
        index = results.schema.get_field_index(RESULT_ID)
        # Invariant 6: receipts and tracked documents are kept in the clear and leave the atom; this may be a patient's.
        if index < 0 or not self.tells_ids:
            return pa.nulls(results.num_rows, pa.string())
        return results.column(index).cast(pa.string())

    def _refusals(self, documents: pa.Array, results: pa.RecordBatch) -> pa.RecordBatch:
        unknown = pc.equal(results.column("outcome"), Outcome.UNKNOWN.value)
        code = pc.if_else(
            unknown, codes.OUTCOME_UNKNOWN.name, pc.fill_null(results.column("code"), codes.REJECTED.name)
        )
        reason = pc.fill_null(results.column("reason"), "the target gave no reason")
        columns = dict(
            zip(
                ERROR_COLUMNS,
                (code, reason, _constant("", len(documents)), _constant(self.step, len(documents))),
                strict=True,
            )
        )
        return pa.RecordBatch.from_arrays([documents, *(columns[name] for name in ERROR_COLUMNS)], schema=ERRORS)

    def _linked(self, link: Link, batch: pa.RecordBatch, results: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        named = [(name, results.column(name)) for name in results.schema.names if name.startswith("result.")]
        joined = pa.RecordBatch.from_arrays(
            [*batch.columns, *(column for _, column in named)],
            names=[*batch.schema.names, *(name for name, _ in named)],
        )
        evaluation = link.query.evaluate(flow.session, joined)
        columns = [column.cast(pa.string()) for column in evaluation.columns]
        failed = {failure.row for failure in evaluation.failures}
        failures = list(evaluation.failures)
        for name, column in zip(link.columns, columns, strict=True):
            for row in pc.indices_nonzero(pc.is_null(column)).to_pylist() if column.null_count else ():
                if row not in failed:
                    failed.add(row)
                    reason = f"column {name} of table {link.table} has no value"
                    failures.append(Failure(row, codes.LINK_INCOMPLETE.name, reason, name))
        if link.conflict == "error":
            failures += self._conflicts(link, columns, failed)
        if failures:
            rows = pa.array([failure.row for failure in failures], pa.int64())
            flow.fail(errors_of(self.step, batch.column(DOCUMENT).take(rows), failures))
            batch = without(batch, rows)
            kept = pc.invert(pc.is_in(pa.arange(0, joined.num_rows), value_set=rows))
            columns = [column.filter(kept) for column in columns]
        values = {name: column.to_pylist() for name, column in zip(link.columns, columns, strict=True)}
        if batch.num_rows:
            flow.links.append(LinkRows(link.table, values, link.unique, link.conflict))
        return batch

    def _conflicts(self, link: Link, columns: Sequence[pa.Array], failed: set[int]) -> list[Failure]:
        """Documents whose link meets another that does not agree: they fail, and the older link stays."""
        kept = [row for row in range(len(columns[0])) if row not in failed]
        values = {
            name: column.take(pa.array(kept, pa.int64())).to_pylist()
            for name, column in zip(link.columns, columns, strict=True)
        }
        found = link.conflicts(LinkRows(link.table, values, link.unique, link.conflict)) if kept else []
        reason = f"one of its ids is linked with another in table {link.table}"
        return [Failure(kept[row], codes.LINK_CONFLICT.name, reason, "") for row in found]


def _constant(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def compile_target(at: Arrival) -> TargetShape:
    """Opens the writer."""
    documents = pa.schema([at.schema.field(name) for name in payload_fields(at.schema)])
    writer = at.context.open_writer(at.step, at.settings(OperationSettings), documents)
    at.context.targets.append(Target(at.id, writer, documents))
    timeout_s = at.step.timeout.total_seconds() if at.step.timeout else None
    link = _link(at, pa.schema([*at.schema, *writer.result_fields]))
    return TargetShape(
        at.id, at.step.verb, writer, policy_of(at.retry, timeout_s), link, at.schema, _certainty(at), _tells_ids(at)
    )


def _certainty(at: Arrival) -> Certainty:
    """What the process and the catalog allow when an answer was lost."""
    settings, verify = at.settings(OperationSettings), at.step.verify
    connector = default_catalog().connectors.get(settings.connector)
    operation = connector.operations.get(settings.operation) if connector else None
    asked = Verify(verify.key, verify.within.total_seconds()) if verify is not None else None
    return Certainty(asked, operation is not None and operation.idempotent)


def _tells_ids(at: Arrival) -> bool:
    """`result.id` is the first of the result columns, else of the key; where nobody says which, it may be any field."""
    options = at.settings(OperationSettings).options
    chosen = options.get("result_columns") or options.get("key")
    disclosed = {name.lower() for name in at.step.discloses}
    return not disclosed or (isinstance(chosen, list) and str(chosen[0]).lower() not in disclosed)


def _link(at: Arrival, schema: pa.Schema) -> Link | None:
    link = at.step.link
    if link is None:
        return None
    query = at.context.query(list(link.columns.items()), f"{at.where}, link", schema)
    query.types(at.context.session, no_rows(schema))
    unique = at.context.unique.get(link.xref, ())
    conflict = at.context.conflicts.get(link.xref, "replace")
    return Link(link.xref, tuple(link.columns), unique, conflict, at.context.tables.conflicts, query)
