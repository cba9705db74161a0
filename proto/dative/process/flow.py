"""Which fields the documents have at every step: their types, where they come from, and which class they carry.

One pass over the steps, in the order documents take them, that tells everything depending on it: unknown fields, types,
classified values on their way to a target, steps that nothing reaches. Lineage is what the same pass writes down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from dative.errors import expression as expression_codes
from dative.errors import process as codes
from dative.process.catalog import DOCUMENT_FIELD_OPTIONS, Catalog, CatalogOperation
from dative.process.datatypes import ANY, TEXT, DataType, joined, parse_type
from dative.process.expression import Expression, OwnCall, literal_text, read_expression
from dative.process.findings import Path, Report, nearest
from dative.process.model import FieldClass, Process, RatesTable, XrefTable
from dative.process.scalars import parse_mask
from dative.process.shapes import (
    DeadLetterSettings,
    DecideSettings,
    MapSettings,
    MaskSettings,
    OperationSettings,
    Step,
    StopSettings,
    TrySettings,
    UnknownSettings,
)

ERROR_FIELDS = ("_error_code", "_error_reason", "_error_field", "_error_step")


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field at one place. sources: source fields it was made of. classes: those that no mask has dealt with."""

    type: DataType = ANY
    sources: frozenset[str] = frozenset()
    classes: frozenset[FieldClass] = frozenset()
    dropped: bool = False  # by a mask: it can not be read any more, and its class went with it


@dataclass(frozen=True)
class Flow:
    """The documents at one place. open: they may have more fields than are known here. ended: none come here."""

    fields: Mapping[str, FieldState]
    open: bool = False
    ended: bool = False

    def names(self) -> list[str]:
        return [name for name, state in self.fields.items() if not state.dropped]

    def reads(self, name: str) -> FieldState | None:
        """The field of that name; an open flow has every field that was not dropped."""
        state = self.fields.get(name)
        if state is None:
            return FieldState(sources=frozenset((name,))) if self.open else None
        return None if state.dropped else state


@dataclass
class Lineage:
    """Per step: target field -> the source fields it was made of, and the classes that no mask has dealt with.

    open: steps after which the documents may have more fields than are known.
    """

    sources: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    classes: dict[str, dict[str, frozenset[FieldClass]]] = field(default_factory=dict)
    types: dict[str, dict[str, DataType]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def record(self, step: Step, flow: Flow) -> None:
        states = {name: flow.fields[name] for name in flow.names()}
        self.sources[step.id] = {name: state.sources for name, state in states.items()}
        self.classes[step.id] = {name: state.classes for name, state in states.items()}
        self.types[step.id] = {name: state.type for name, state in states.items()}
        if flow.open:
            self.open.add(step.id)


class FlowCheck:
    """Follows the documents of a process and reports what can not be. Used once."""

    def __init__(
        self,
        process: Process,
        report: Report,
        catalog: Catalog,
        profiles: Mapping[str, Mapping[str, DataType]],
        partial: frozenset[Path],
    ) -> None:
        self._spec = process.spec
        self._report = report
        self._catalog = catalog
        self._profiles = profiles
        self._partial = partial
        self.lineage = Lineage()

    def run(self) -> None:
        """The whole process, source first."""
        flow = self._source()
        self._tracked(flow)
        self._steps(self._spec.steps, ("spec", "steps"), flow)

    # Where the fields come from.

    def _source(self) -> Flow:
        step = self._spec.source
        known = self._profiles.get(step.id) or self._declared(step)
        classes: dict[str, frozenset[FieldClass]] = {}
        for name, fields in self._spec.classify.items():
            for one in fields:
                classes[one] = classes.get(one, frozenset()) | {name}
        # Classified fields are listed even where the source does not say its fields, so that their class travels.
        names = known if known is not None else dict.fromkeys(classes, ANY)
        flow = Flow(
            {
                name: FieldState(kind, frozenset((name,)), classes.get(name, frozenset()))
                for name, kind in names.items()
            },
            open=known is None,
        )
        self.lineage.record(step, flow)
        return flow

    def _declared(self, step: Step) -> dict[str, DataType] | None:
        operation = self._operation(step.settings)
        if operation is None or _is_partial(self._partial, ("spec", "source"), step):
            return None
        options = cast(OperationSettings, step.settings).options
        declared = operation.source_fields(options)
        return None if declared is None else {name: _type_or_any(text) for name, text in declared.items()}

    def _operation(self, settings: object) -> CatalogOperation | None:
        if not isinstance(settings, OperationSettings):
            return None
        connector = self._catalog.connectors.get(settings.connector)
        return connector.operations.get(settings.operation) if connector else None

    def _tracked(self, flow: Flow) -> None:
        for kind, fields in self._spec.classify.items():
            for index, name in enumerate(fields):
                self._known(name, flow, ("spec", "classify", kind, index))
        for index, key in enumerate(self._spec.tracked_keys):
            path: Path = ("spec", "track", index)
            if not self._known(key.field, flow, path) or key.hashed:
                continue
            if classes := flow.fields.get(key.field, FieldState()).classes:
                kinds = ", ".join(sorted(classes))
                message = f'"{key.field}" is classified {kinds} and would be tracked in the clear: hash({key.field})'
                self._report.value(codes.CLASSIFIED_TRACKED, message, path, offset=0)

    def _known(self, name: str, flow: Flow, path: Path, *, key: bool = False, offset: int | None = 0) -> bool:
        if flow.reads(name) is not None:
            return True
        message = f'unknown field "{name}"{nearest(name, flow.names())}'
        if key:
            self._report.key(codes.UNKNOWN_FIELD, message, path)
        else:
            self._report.value(codes.UNKNOWN_FIELD, message, path, offset=offset)
        return False

    # Steps.

    def _steps(self, steps: tuple[Step, ...], path: Path, flow: Flow) -> Flow:
        told = False
        for index, step in enumerate(steps):
            here = (*path, index)
            if flow.ended and not told:
                self._report.key(codes.UNREACHABLE, f'no document reaches "{step.id}"', here)
                told = True
                # Its own findings are still told, as if everything were known.
                flow = replace(flow, open=True)
            ended = flow.ended
            flow = self._step(step, here, replace(flow, ended=False))
            flow = replace(flow, ended=flow.ended or ended)
        return flow

    def _step(self, step: Step, path: Path, flow: Flow) -> Flow:
        settings = step.settings
        if isinstance(settings, MapSettings):
            after = self._map(settings, (*path, "map", "fields"), flow)
        elif isinstance(settings, DecideSettings):
            after = self._decide(settings, path, flow)
        elif isinstance(settings, MaskSettings):
            after = self._mask(settings, (*path, "mask"), flow)
        elif isinstance(settings, TrySettings):
            after = self._try(settings, path, flow)
        elif isinstance(settings, DeadLetterSettings | StopSettings):
            after = replace(flow, ended=True)
        elif isinstance(settings, OperationSettings):
            after = self._write(step, settings, path, flow)
        else:
            after = replace(flow, open=True)
        if _is_partial(self._partial, path, step) or isinstance(cast(object, settings), UnknownSettings):
            # What was left out may have made fields or masked them: nothing is said of either from here on.
            unclassified = {name: replace(state, classes=frozenset()) for name, state in after.fields.items()}
            after = replace(after, fields=unclassified, open=True)
        self.lineage.record(step, after)
        return after

    def _map(self, settings: MapSettings, path: Path, flow: Flow) -> Flow:
        made: dict[str, FieldState] = {}
        spelled: dict[str, str] = {}
        for name, sql in settings.fields.items():
            here = (*path, name)
            if name.startswith("_"):
                self._report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
            other = spelled.setdefault(name.lower(), name)
            if other != name:
                self._report.key(codes.FIELD_TWICE, f'"{name}" and "{other}" are one field to most targets', here)
            made[name] = self._value(sql, here, flow)
        if settings.keep == "none":
            return Flow(made)
        return Flow({**flow.fields, **made}, open=flow.open)

    def _value(self, sql: str, path: Path, flow: Flow, *, results: set[str] | None = None) -> FieldState:
        expression = self._expression(sql, path, flow, results=results)
        if expression is None:
            return FieldState()
        read = [state for name in expression.fields if (state := flow.reads(name)) is not None]
        return FieldState(
            expression.type,
            frozenset().union(*(state.sources for state in read)),
            frozenset().union(*(state.classes for state in read)),
        )

    def _expression(self, sql: str, path: Path, flow: Flow, *, results: set[str] | None = None) -> Expression | None:
        types = {name: state.type for name, state in flow.fields.items()}
        expression, problems = read_expression(sql, types)
        for problem in problems:
            self._report.value(problem.code, problem.message, path, offset=problem.offset)
        if expression is None:
            return None
        for name in sorted(expression.fields):
            head, _, rest = name.partition(".")
            if results is not None and head == "result":
                if results and rest not in results:
                    message = f'the operation gives back no "{name}"{nearest(rest, results)}'
                    self._report.value(codes.UNKNOWN_FIELD, message, path)
                continue
            self._known(name, flow, path, offset=_place_of(name, sql))
        for call in expression.calls:
            self._call(call, path)
        return expression

    def _call(self, call: OwnCall, path: Path) -> None:
        if ("spec",) in self._partial:
            return  # tables and parameters may have been left out of the draft
        if call.name == "param":
            name = literal_text(call.arguments[0]) if call.arguments else None
            if name is not None and name not in self._spec.parameters:
                note = nearest(name, self._spec.parameters)
                self._report.value(codes.UNKNOWN_PARAMETER, f'unknown parameter "{name}"{note}', path)
        elif call.name == "xref" and call.table is not None:
            columns = [*call.columns(), *([want] if (want := literal_text(call.named.get("want"))) else [])]
            self._xref(call.table, columns, path)
        elif call.name == "currency":
            self._rates(call.table, path)

    def _xref(self, name: str, columns: list[str], path: Path) -> None:
        table = self._spec.tables.get(name)
        if table is None:
            note = nearest(name, self._spec.tables)
            self._report.value(codes.UNKNOWN_TABLE, f'no table "{name}"{note}', path)
        elif not isinstance(table, XrefTable):
            self._report.value(codes.WRONG_TABLE, f'table "{name}" is of kind {table.kind}, here it must be xref', path)
        else:
            for column in columns:
                if column not in table.columns:
                    message = f'table "{name}" has no column "{column}"{nearest(column, table.columns)}'
                    self._report.value(codes.UNKNOWN_COLUMN, message, path)

    def _rates(self, name: str | None, path: Path) -> None:
        rates = [key for key, table in self._spec.tables.items() if isinstance(table, RatesTable)]
        if name is not None and name not in rates:
            self._report.value(codes.UNKNOWN_TABLE, f'no rates table "{name}"{nearest(name, rates)}', path)
        elif name is None and len(rates) != 1:
            next_step = "Declare `rates: {kind: rates, file: rates.csv}` under spec.tables." if not rates else (
                f"Say which: currency(…, rates => '{rates[0]}')."
            )  # fmt: skip
            message = f"currency() reads the rates table, and the process has {len(rates) or 'none'}"
            self._report.value(codes.UNKNOWN_TABLE, message, path, next_step=next_step)

    def _decide(self, settings: DecideSettings, path: Path, flow: Flow) -> Flow:
        here = (*path, "decide")
        condition = self._expression(settings.condition, here, flow)
        if condition is not None and condition.type.kind not in ("any", "boolean"):
            message = f"a condition is true or false, this one gives {condition.type}"
            self._report.value(expression_codes.WRONG_TYPE, message, here)
        then = self._steps(settings.then, (*path, "then"), flow)
        otherwise = self._steps(settings.otherwise, (*path, "else"), flow)
        return _together(then, otherwise)

    def _mask(self, settings: MaskSettings, path: Path, flow: Flow) -> Flow:
        fields = dict(flow.fields)
        for name, text in settings.fields.items():
            here = (*path, name)
            state = flow.reads(name)
            if not self._known(name, flow, here, key=True) or state is None:
                continue
            mask = parse_mask(text)
            fits = state.type.kind in ("any", "text") or mask.kind in ("drop", "redact")
            if mask.kind == "date_shift":
                fits = state.type.kind in ("any", "date", "timestamp")
            elif mask.kind in ("hash", "token"):
                fits = state.type.kind not in ("binary", "json")
            if not fits:
                self._report.value(codes.BAD_MASK, f'{mask.kind} can not mask "{name}": it is {state.type}', here)
            kept = mask.kind in ("date_shift",) or (mask.kind == "redact" and state.type.kind != "text")
            kind = state.type if kept else ANY if mask.kind == "drop" else TEXT
            fields[name] = replace(state, type=kind, classes=frozenset(), dropped=mask.kind == "drop")
        return replace(flow, fields=fields)

    def _try(self, settings: TrySettings, path: Path, flow: Flow) -> Flow:
        after = self._steps(settings.steps, (*path, "try"), flow)
        if not settings.catch:
            return after
        # The original document and the reason reach the catch path, whatever the steps had made of it.
        caught = Flow({**flow.fields, **{name: FieldState(TEXT) for name in ERROR_FIELDS}}, open=flow.open)
        left = self._steps(settings.catch, (*path, "catch"), caught)
        # Documents that leave the catch route are documents like others again.
        plain = {name: state for name, state in left.fields.items() if name not in ERROR_FIELDS}
        return _together(after, replace(left, fields=plain))

    def _write(self, step: Step, settings: OperationSettings, path: Path, flow: Flow) -> Flow:
        here = (*path, step.verb)
        operation = self._operation(settings)
        for option in DOCUMENT_FIELD_OPTIONS:
            value = settings.options.get(option)
            for index, name in enumerate(value if isinstance(value, list) else ()):
                if isinstance(name, str):
                    self._known(name, flow, (*here, option, index))
        self._disclosed(step, path, flow)
        if step.verify is not None:
            for index, name in enumerate(step.verify.key):
                self._known(name, flow, (*path, "verify", "key", index))
        if step.link is not None and ("spec",) not in self._partial:
            results = operation.result_fields(settings.options) if operation else set[str]()
            self._xref_link(step, path, flow, results)
        return flow

    def _disclosed(self, step: Step, path: Path, flow: Flow) -> None:
        for name in step.discloses:
            self._known(name, flow, (*path, "discloses", name), key=True)
        for name in flow.names():
            classes = flow.fields[name].classes
            if classes and name not in step.discloses:
                origin = ", ".join(sorted(flow.fields[name].sources))
                message = f'"{name}" reaches {step.verb} unmasked; it is {"/".join(sorted(classes))} by way of {origin or name}'
                self._report.key(codes.CLASSIFIED_UNMASKED, message, (*path, step.verb))

    def _xref_link(self, step: Step, path: Path, flow: Flow, results: set[str]) -> None:
        link = step.link
        if link is None:
            return
        self._xref(link.xref, [], (*path, "link", "xref"))
        table = self._spec.tables.get(link.xref)
        for column, sql in link.columns.items():
            here = (*path, "link", column)
            if isinstance(table, XrefTable) and column not in table.columns:
                message = f'table "{link.xref}" has no column "{column}"{nearest(column, table.columns)}'
                self._report.key(codes.UNKNOWN_COLUMN, message, here)
            state = self._value(sql, here, flow, results=results)
            if state.classes:
                message = f'column "{column}" would hold a classified value ({"/".join(sorted(state.classes))})'
                self._report.value(codes.CLASSIFIED_UNMASKED, message, here)


def _together(first: Flow, second: Flow) -> Flow:
    """Both arms' documents after they have come together; an arm that ended brings none."""
    if first.ended or second.ended:
        return first if second.ended else second
    fields: dict[str, FieldState] = {}
    for name in (*first.fields, *(other for other in second.fields if other not in first.fields)):
        one, other = first.fields.get(name), second.fields.get(name)
        if one is None or other is None:
            fields[name] = cast(FieldState, one or other)
            continue
        # A mask on either arm is a decision that somebody took about this value: the class is dealt with.
        fields[name] = FieldState(
            joined(one.type, other.type) or ANY,
            one.sources | other.sources,
            one.classes & other.classes,
            one.dropped and other.dropped,
        )
    return Flow(fields, open=first.open or second.open)


def _is_partial(partial: frozenset[Path], path: Path, step: Step) -> bool:
    return path in partial or (*path, step.verb) in partial


def _type_or_any(text: str) -> DataType:
    try:
        return parse_type(text)
    except ValueError:
        return ANY  # the operation's own schema says what is wrong with it


def _place_of(name: str, sql: str) -> int | None:
    place = sql.find(name)
    return place if place >= 0 else None
