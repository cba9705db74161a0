"""business_rules: every rule as one condition over the batch, and what does not hold told together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import BusinessRulesSettings
from dative.process.shapes.business_rules import TOLD_CHARACTERS_MAX, RuleSettings

from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.evaluation.expression import Expression, Fallible, Scope
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.routing import Flow

_BETWEEN: Final = "; "


@dataclass(frozen=True)
class BusinessRules:
    """rules: those that are told by themselves, in the order of the query's columns, each true where it does not hold."""

    step: StepId
    query: Query
    rules: Sequence[RuleSettings]
    into: str | None
    keeps: bool
    schema: pa.Schema
    verb: str = "business_rules"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        broken = evaluation.columns
        counts = {rule.name: column.true_count for rule, column in zip(self.rules, broken, strict=True)}
        flow.recorder.count(self.step, self.verb, counts)
        failures = {failure.row: failure for failure in evaluation.failures}
        if not self.keeps:
            told = self._told(broken, batch.num_rows, ("error",))
            for row in pc.indices_nonzero(pc.is_valid(told)).to_pylist() if told.null_count < len(told) else ():
                failures.setdefault(row, Failure(row, codes.RULES_BROKEN.name, _cut(told[row].as_py()), ""))
        if self.into is not None:
            texts = self._told(broken, batch.num_rows, ("error", "warning"))
            columns = [texts if name == self.into else batch.column(name) for name in self.schema.names]
            batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        return flow.failures(self.step, batch, [failures[row] for row in sorted(failures)])

    def _told(self, broken: Sequence[pa.Array], rows: int, severities: Sequence[str]) -> pa.Array:
        """The text of what does not hold, null where everything does."""
        texts = [
            pc.if_else(column, f"{rule.name}: {rule.message}{_BETWEEN}", "")
            for rule, column in zip(self.rules, broken, strict=True)
            if rule.severity in severities and column.true_count
        ]
        if not texts:
            return pa.nulls(rows, pa.string())
        # Arrow's own way to skip nulls loses the rows in which all of them are null (pyarrow 26).
        joined = pc.binary_join_element_wise(*texts, "")
        told = pc.utf8_slice_codeunits(joined, 0, -len(_BETWEEN))
        return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), told)


def _cut(text: str) -> str:
    return text if len(text) <= TOLD_CHARACTERS_MAX else text[: TOLD_CHARACTERS_MAX - 2] + " …"


def compile_business_rules(at: Arrival) -> BusinessRules:
    settings, context = at.settings(BusinessRulesSettings), at.context
    rules = [rule for outer in settings.rules for rule in outer.told()]
    scope = context.scope(at.schema)
    outputs = [(rule.name, _broken(rule, scope, at.where)) for rule in rules]
    query = Query(outputs, scope, context.tables)
    context.queries.append(query)
    for rule, type_ in zip(rules, query.types(context.session, no_rows(at.schema)), strict=True):
        if not pa.types.is_boolean(type_):
            raise at.refused(f"rule {rule.name} is no condition")
    schema = at.schema
    if settings.into is not None:
        made, index = pa.field(settings.into, pa.string()), schema.get_field_index(settings.into)
        schema = schema.append(made) if index < 0 else schema.set(index, made)
    return BusinessRules(at.id, query, rules, settings.into, settings.errors == "keep", schema)


def _broken(rule: RuleSettings, scope: Scope, where: str) -> Expression:
    """True where the rule does not hold; a NULL does not hold."""
    fast, strict, fallibles = _holds(rule, scope, where)
    return Expression(f"(NOT {fast})", f"(NOT {strict})", tuple(fallibles))


def _holds(rule: RuleSettings, scope: Scope, where: str) -> tuple[str, str, list[Fallible]]:
    if rule.check is not None:
        condition = scope.compile(rule.check, f"{where}, rule {rule.name}")
        return f"coalesce({condition.fast}, false)", f"coalesce({condition.strict}, false)", list(condition.fallibles)
    inner = [_holds(child, scope, where) for child in (*rule.all, *rule.any)]
    word = " AND " if rule.all else " OR "
    fast, strict = word.join(item[0] for item in inner), word.join(item[1] for item in inner)
    return f"({fast})", f"({strict})", [fallible for *_, fallibles in inner for fallible in fallibles]
