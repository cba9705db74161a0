"""cleanse: the repaired value of each field and a flag for each rule, all in one query over the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import CleanseSettings
from dative.process.shapes.business_rules import TOLD_CHARACTERS_MAX
from dative.process.shapes.cleanse import FieldRules

from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.expression import Expression
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.routing import Flow

_SQL: Final = {"text": "VARCHAR", "integer": "BIGINT", "timestamp": "TIMESTAMPTZ"}


@dataclass(frozen=True)
class Rule:
    """One rule of one field. rejects: or else it has repaired. name: "Amount: type"."""

    name: str
    rejects: bool


@dataclass(frozen=True)
class Cleanse:
    """query: the cleansed fields, then a flag a rule, true where it has done something."""

    step: StepId
    query: Query
    cleansed: tuple[str, ...]
    rules: Sequence[Rule]
    schema: pa.Schema
    verb: str = "cleanse"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        count = len(self.cleansed)
        made = dict(zip(self.cleansed, evaluation.columns[:count], strict=True))
        flags = list(zip(self.rules, evaluation.columns[count:], strict=True))
        flow.recorder.count(self.step, self.verb, {rule.name: flag.true_count for rule, flag in flags})
        wrong: dict[int, list[str]] = {}
        for rule, flag in flags:
            for row in pc.indices_nonzero(flag).to_pylist() if rule.rejects and flag.true_count else ():
                wrong.setdefault(row, []).append(rule.name)
        failures = {failure.row: failure for failure in evaluation.failures}
        for row, names in wrong.items():
            field = names[0].partition(": ")[0]
            failures.setdefault(
                row, Failure(row, codes.CLEANSE_REJECTED.name, "; ".join(names)[:TOLD_CHARACTERS_MAX], field)
            )
        columns = [made[name] if name in made else batch.column(name) for name in self.schema.names]
        out = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        return flow.failures(self.step, out, [failures[row] for row in sorted(failures)])


def compile_cleanse(at: Arrival) -> Cleanse:
    settings, context = at.settings(CleanseSettings), at.context
    missing = [name for name in settings.fields if name not in at.schema.names]
    if missing:
        raise at.refused(f"its documents have no field {missing[0]}")
    fields = {name: _Field(f"b.{quoted(name)}", rules) for name, rules in settings.fields.items()}
    rules = [Rule(f"{name}: {rule}", rejects) for name, field in fields.items() for rule, rejects, _ in field.flags]
    values = [(name, Expression(field.sql, field.sql)) for name, field in fields.items()]
    flags = [sql for field in fields.values() for *_, sql in field.flags]
    outputs = [*values, *((f"{index}", Expression(sql, sql)) for index, sql in enumerate(flags))]
    query = Query(outputs, context.scope(at.schema), context.tables)
    context.queries.append(query)
    types = query.types(context.session, no_rows(at.schema))
    schema = at.schema
    for name, type_ in zip(fields, types, strict=False):
        schema = schema.set(schema.get_field_index(name), pa.field(name, type_))
    return Cleanse(at.id, query, tuple(fields), rules, schema)


class _Field:
    """The SQL of one field as far as its rules have gone. flags: (rule, whether it rejects, condition)."""

    def __init__(self, column: str, rules: FieldRules) -> None:
        self.sql = f"CAST({column} AS VARCHAR)"
        self.flags: list[tuple[str, bool, str]] = []
        self._texts(rules)
        self._checks(rules)
        if rules.type is not None:
            self._typed(rules)
        if rules.required:
            self._reject("required", f"{self.sql} IS NULL")

    def _repair(self, name: str, repaired: str) -> None:
        self.flags.append((name, False, f"coalesce({repaired} IS DISTINCT FROM {self.sql}, false)"))
        self.sql = f"({repaired})"

    def _reject(self, name: str, condition: str) -> None:
        self.flags.append((name, True, f"coalesce({condition}, false)"))

    def _texts(self, rules: FieldRules) -> None:
        if rules.trim:
            self._repair("trim", f"NULLIF(trim({self.sql}), '')")
        if rules.default is not None:
            self._repair("default", f"coalesce({self.sql}, {literal(rules.default)})")
        if rules.pad is not None:
            pad = rules.pad
            filled = f"{'lpad' if pad.side == 'left' else 'rpad'}({self.sql}, {pad.length}, {literal(pad.fill)})"
            # The function would cut a longer text, and padding must not.
            self._repair("pad", f"CASE WHEN length({self.sql}) < {pad.length} THEN {filled} ELSE {self.sql} END")
        if rules.truncate is not None:
            self._repair("truncate", f"left({self.sql}, {rules.truncate})")

    def _checks(self, rules: FieldRules) -> None:
        if rules.values:
            allowed = f"{self.sql} IN ({', '.join(literal(value) for value in rules.values)})"
            if rules.otherwise is None:
                self._reject("values", f"NOT {allowed}")
            else:
                other = f"CASE WHEN {self.sql} IS NULL OR {allowed} THEN {self.sql} ELSE {literal(rules.otherwise)} END"
                self._repair("values", other)
        for name, sign, bound in (("length_min", "<", rules.length_min), ("length_max", ">", rules.length_max)):
            if bound is not None:
                self._reject(name, f"length({self.sql}) {sign} {bound}")
        if rules.pattern is not None:
            self._reject("pattern", f"NOT regexp_full_match({self.sql}, {literal(rules.pattern)})")

    def _typed(self, rules: FieldRules) -> None:
        kind = rules.data_type
        typed = f"TRY_CAST({self.sql} AS {_SQL.get(kind.kind, str(kind).upper())})"
        self._reject("type", f"{self.sql} IS NOT NULL AND {typed} IS NULL")
        self.sql = typed
        for name, bound in _numbers(rules):
            sign = "<" if name.endswith("min") else ">"
            if name.startswith("clamp"):
                kept = f"CASE WHEN {self.sql} {sign} {bound} THEN CAST({bound} AS {_SQL.get(kind.kind, str(kind))})"
                self._repair(name, f"{kept} ELSE {self.sql} END")
            else:
                self._reject(name, f"{self.sql} {sign} {bound}")


def _numbers(rules: FieldRules) -> Iterator[tuple[str, str]]:
    for name in ("clamp_min", "clamp_max", "min", "max"):
        bound = getattr(rules, name)
        if bound is not None:
            yield name, format(bound, "f")
