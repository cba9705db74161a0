"""Evaluates compiled expressions over a batch: one fast query, and a second one for the suspect rows alone.

A small batch takes the same query through a bound statement, its lookups picked before; whatever that way can not do,
it leaves to the other one, so both end the same.

A bad record never fails its neighbours. The fast query computes every column in its error-tolerant form and one boolean
that says "this row is suspect"; only suspect rows are evaluated again, strictly, to learn what failed and why. A query
that fails as a whole all the same (a cast that the compiler did not see) evaluates its batch strictly, row by row inside
DuckDB. Results always stand in the order of the batch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.database import Session, literal, quoted
from dative_atom.engine.evaluation.expression import Expression, Scope
from dative_atom.engine.evaluation.lookup import Lookup, RateLookup, Tables, XrefLookup
from dative_atom.engine.evaluation.picked import Picks
from dative_atom.engine.evaluation.sets import with_sets
from dative_atom.engine.evaluation.small import Columns, Small

SHAPE_LENGTH_MAX: Final = 40
_FIELD: Final = re.compile(r'\bb\."((?:[^"]|"")+)"')
_SUSPECT: Final = "_suspect"
_DATA_ERRORS: Final = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
)


_Numbered = tuple[int, tuple[str, Expression]]
_Verdict = tuple[Any, ...]


@dataclass(frozen=True)
class Failure:
    """Why one row can not go on. row: its index in the batch. Nothing here holds a value."""

    row: int
    code: str
    reason: str
    field: str


@dataclass
class Evaluation:
    """columns: one per output, as many rows as the batch, in its order. failures: at most one a row, rows rising."""

    columns: list[pa.Array]
    failures: list[Failure] = field(default_factory=list)


@dataclass
class Watch:
    """What is counted of evaluation. strict_rows: rows that were evaluated strictly; equals the suspect rows.
    bound_rows: rows that went through the bound statement."""

    strict_rows: int = 0
    bound_rows: int = 0


class Query:
    """Named expressions over one kind of batch."""

    def __init__(self, outputs: Sequence[tuple[str, Expression]], scope: Scope, tables: Tables) -> None:
        """outputs: (target field, expression). scope: the one in which they were compiled."""
        self._outputs = list(outputs)
        self._computed = [(name, item) for name, item in outputs if item.field is None]
        self._lookups: list[Lookup] = list(scope.lookups)
        self._rates = [lookup for lookup in self._lookups if isinstance(lookup, RateLookup)]
        self._lifted = list(scope.lifted)
        self._tables = tables
        self._remembered = dict(scope.remembered)
        self._cached = list(scope.cached)
        self._fast = self._fast_columns()
        self._used = _used([*(sql for sql, _ in self._fast), *_asked(self._lookups)])
        self._picks = Picks(self._lookups, tables)
        self._small = Small(self._fast, self._picks)
        self._types: list[pa.DataType] | None = None
        self.watch = Watch()

    def evaluate(self, session: Session, batch: pa.RecordBatch) -> Evaluation:
        """Evaluate over the batch, which has the fields and a DOCUMENT column. An empty batch gives typed columns."""
        if not self._computed:
            return Evaluation(self._columns(batch, {}))
        if batch.num_rows == 0 and self._types is not None:
            return Evaluation([pa.array([], type_) for type_ in self._types])
        batch = session.running.shown(batch, self._remembered)
        for lookup in self._cached:
            batch = lookup.beside(batch, session)
        batch = with_sets(batch, self._lifted, session, self._tables)
        needed = _projected(batch, self._used)
        result = self._small.run(session, needed)
        if result is not None:
            self.watch.bound_rows += batch.num_rows
        else:
            try:
                result = self._run(session, _named(self._fast), needed)
            except _DATA_ERRORS:
                return self._strictly(session, batch)
        computed = {name: result.column(f"c{index}") for index, (name, _) in enumerate(self._computed)}
        evaluation = Evaluation(self._columns(batch, computed))
        suspects = result.column(_SUSPECT)
        if suspects.true_count:
            rows = pc.indices_nonzero(suspects)
            fallible = [each for each in enumerate(self._computed) if each[1][1].fallibles]
            evaluation.failures = self._reasons(session, batch.take(rows), rows.to_pylist(), fallible)
        return evaluation

    def types(self, session: Session, empty: pa.RecordBatch) -> list[pa.DataType]:
        """The types of the outputs, found by evaluating no rows. Raises StopRun where an expression does not fit."""
        if self._types is None:
            self._types = [column.type for column in self.evaluate(session, empty).columns]
        return self._types

    def _run(self, session: Session, columns: Sequence[str], batch: pa.RecordBatch) -> pa.RecordBatch:
        """These columns over the batch, its cross-references picked, its rates joined. Raises duckdb.Error."""
        whole = self._picks.beside(batch, session.query, rates=False)
        rates = [(rate.alias, self._tables.rates(rate)) for rate in self._rates]
        joins = " ".join(rate.join for rate in self._rates)
        sql = f"SELECT b.{quoted(DOCUMENT)}, {', '.join(columns)} FROM batch b {joins}"
        return _aligned(session.query(sql, whole, rates), batch)

    def _columns(self, batch: pa.RecordBatch, computed: dict[str, pa.Array]) -> list[pa.Array]:
        # A field that is only passed on is the same memory, never copied through the database.
        return [
            computed[name] if item.field is None else _field(batch, item.field, name) for name, item in self._outputs
        ]

    def lead(self, followers: Sequence[Query]) -> None:
        """Answer these queries too, for small batches. They are asked of the documents that this one makes, a field for
        every output; what they read beside that has passed unchanged. Those that look things up answer for themselves."""
        simple = [
            follower for follower in followers if follower._computed and not (follower._lookups or follower._lifted)
        ]
        if not self._computed or not simple:
            return
        wanted = frozenset(name for follower in simple for name in follower._used)
        made = {name.lower(): (item.fast, name) for name, item in self._outputs}
        passed = {name: (f"b.{quoted(name)}", name) for name in wanted if name not in made}
        self._small.lead(
            [follower._small for follower in simple], [{**made, **passed}[name] for name in sorted(wanted)]
        )
        self._used |= _used([sql for name, (sql, _) in made.items() if name in wanted]) | frozenset(passed)

    def _fast_columns(self) -> Columns:
        columns = [(item.fast, f"c{index}") for index, (_, item) in enumerate(self._computed)]
        flags = [fallible.flag for _, item in self._computed for fallible in item.fallibles]
        return [*columns, (f"coalesce({' OR '.join(flags)}, false)" if flags else "false", _SUSPECT)]

    def _reasons(
        self, session: Session, suspects: pa.RecordBatch, rows: Sequence[int], outputs: Sequence[_Numbered]
    ) -> list[Failure]:
        """What failed in which of the suspect rows; a row in which nothing does has been acquitted.

        outputs: those that may have failed, with their place among the computed ones.
        """
        self.watch.strict_rows += suspects.num_rows
        columns = [part for index, (_, item) in outputs for part in _verdict(index, item)]
        found = self._run(session, columns, suspects)
        verdicts = zip(
            *(found.column(f"{part}{index}").to_pylist() for index, _ in outputs for part in "fps"), strict=True
        )
        # Rows that fail alike are told alike, and a bad column fails alike in most of its rows.
        told: dict[_Verdict, tuple[str, str, str] | None] = {}
        failures = []
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict not in told:
                told[verdict] = _told(verdict, outputs)
            if (reason := told[verdict]) is not None:
                failures.append(Failure(row, *reason))
        return failures

    def _strictly(self, session: Session, batch: pa.RecordBatch) -> Evaluation:
        """The whole batch in its strict form: dear, and taken only when the fast query failed as a whole."""
        columns = [f"struct_extract({_tried(item)}, 'v') AS c{index}" for index, (_, item) in enumerate(self._computed)]
        result = self._run(session, columns, batch)
        computed = {name: result.column(f"c{index}") for index, (name, _) in enumerate(self._computed)}
        failures = self._reasons(session, batch, range(batch.num_rows), list(enumerate(self._computed)))
        return Evaluation(self._columns(batch, computed), failures)


def _named(columns: Columns) -> list[str]:
    return [f"{sql} AS {quoted(name)}" for sql, name in columns]


def _asked(lookups: Sequence[Lookup]) -> list[str]:
    return [lookup.key if isinstance(lookup, XrefLookup) else lookup.join for lookup in lookups]


def _used(columns: Sequence[str]) -> frozenset[str]:
    """The fields that these columns' SQL names, folded as DuckDB folds them; what stands in a text may be among them."""
    return frozenset(found.replace('""', '"').lower() for sql in columns for found in _FIELD.findall(sql))


def _projected(batch: pa.RecordBatch, used: frozenset[str]) -> pa.RecordBatch:
    """The columns that a query reads: the others need not be shown to it."""
    return batch.select(
        [index for index, name in enumerate(batch.schema.names) if name == DOCUMENT or name.lower() in used]
    )


def _told(verdict: _Verdict, outputs: Sequence[_Numbered]) -> tuple[str, str, str] | None:
    """(code, reason, field) of the first output that failed. verdict: `_verdict` of each output, one after the other."""
    for at, (_, (name, item)) in enumerate(outputs):
        failed, place, shape = verdict[3 * at : 3 * at + 3]
        if not failed:
            continue
        if place is None:
            return "expression.evaluation_failed", f"{name} can not be computed for this document", name
        fallible = item.fallibles[place]
        of = f" for a value of the form {shape!r}" if shape else ""
        return fallible.code, f"{name}: {fallible.text} failed{of}", name
    return None


def _tried(item: Expression) -> str:
    # A struct, so that "failed" (no struct) and "null" (a struct with a null) are told apart.
    return f"TRY(struct_pack(v := {item.strict}))"


def _verdict(index: int, item: Expression) -> list[str]:
    """f: it failed; p: the first fallible place that is suspect; s: the shape of the value there."""
    if not item.fallibles:
        return [f"{_tried(item)} IS NULL AS f{index}", f"NULL AS p{index}", f"NULL AS s{index}"]
    if item.certain:
        flags = " OR ".join(fallible.flag for fallible in item.fallibles)
        return [f"coalesce({flags}, false) AS f{index}", *_place(index, item)]
    return [f"{_tried(item)} IS NULL AS f{index}", *_place(index, item)]


def _place(index: int, item: Expression) -> list[str]:
    places = " ".join(f"WHEN {fallible.flag} THEN {place}" for place, fallible in enumerate(item.fallibles))
    shapes = " ".join(f"WHEN {fallible.flag} THEN {_shape(fallible.subject)}" for fallible in item.fallibles)
    return [
        f"TRY(CASE {places} END) AS p{index}",
        f"TRY(CASE {shapes} END) AS s{index}",
    ]


def _shape(subject: str) -> str:
    """SQL of a value's form: every digit is 9 and every letter a, so that a person sees the format and no value."""
    text = f"left(CAST({subject} AS VARCHAR), {SHAPE_LENGTH_MAX})"
    digits = f"regexp_replace({text}, {literal('[0-9]')}, '9', 'g')"
    return f"regexp_replace({digits}, {literal('[^ -@]')}, 'a', 'g')"


def _field(batch: pa.RecordBatch, name: str, target: str) -> pa.Array:
    index = batch.schema.get_field_index(name)
    if index < 0:
        folded = [position for position, other in enumerate(batch.schema.names) if other.lower() == name.lower()]
        if len(folded) != 1:
            raise StopRun(
                f"field {target} is made of {name}, which the documents do not have", code=codes.COMPILE_FAILED
            )
        index = folded[0]
    return batch.column(index)


def _aligned(result: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The result in the order of the batch: a join may return rows in another one."""
    documents = batch.column(DOCUMENT)
    if result.column(DOCUMENT).equals(documents):
        return result
    if result.num_rows != batch.num_rows:
        raise StopRun(f"a query made {result.num_rows} rows of {batch.num_rows} documents", code=codes.UNACCOUNTED)
    order = pc.index_in(documents, value_set=result.column(DOCUMENT))
    return result.take(order)
